"""A Ray cluster as `ray up clusters/onprem.yaml` makes it, on hosts of the testbed."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.cluster.hosts import ROOT, VENV, Hosts, wait_until

__all__ = ["HEAD", "LAPTOP", "SPARE", "WORKERS", "Cluster"]

HEAD, WORKERS, SPARE, LAPTOP = "head", ("one", "two"), "spare", "laptop"
ONPREM = ROOT / "clusters" / "onprem.yaml"
GET = """
import sys, urllib.error, urllib.request
request = urllib.request.Request("http://127.0.0.1:8265" + sys.argv[1], headers={"Authorization": "Bearer " + t for t in sys.argv[2:]})
try:
    print(urllib.request.urlopen(request, timeout=20).read().decode())
except urllib.error.HTTPError as error:
    print(error.code)
"""  # noqa: E501


class Cluster:
    """Started and stopped from the laptop, a host on the same network that is no node.

    The project lies on each node in ~/leadline as clusters/onprem.yaml copies it; only its virtual
    environment is that of the tests.

    Args:
        hosts: that have no Ray yet.
        workers: those of them that are workers.
    """

    def __init__(self, hosts: Hosts, workers: Sequence[str] = WORKERS) -> None:
        self.hosts, self.nodes = hosts, (HEAD, *workers)
        self.address = f"{hosts.ip(HEAD)}:6379"
        self.yaml = hosts.own(LAPTOP, "home/onprem.yaml")
        addresses = {
            "head_ip: HEAD": f"head_ip: {hosts.ip(HEAD)}",
            "WORKER, WORKER": ", ".join(hosts.ip(worker) for worker in workers),
        }
        text = ONPREM.read_text()
        for blank, address in addresses.items():
            assert text.count(blank) == 1
            text = text.replace(blank, address)
        self.yaml.write_text(text)
        self._spares = [SPARE] if SPARE in hosts.names else []
        for node in (*self.nodes, *self._spares):
            _install(hosts.own(node, "home/leadline"))
        for spare in self._spares:
            shutil.copytree(ROOT / "clusters", hosts.own(spare, "home/leadline/clusters"))

    @property
    def token(self) -> str:
        """What the head made."""
        return self.hosts.own(HEAD, "home/.ray/auth_token").read_text().strip()

    @property
    def environment(self) -> dict[str, str]:
        """Variables for a client, on the laptop or on a node, once it is up."""
        return {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(self.hosts.home / ".ray" / "auth_token"),
            "RAY_USAGE_STATS_ENABLED": "0",
        }

    def ray(
        self, command: str, *arguments: str, check: bool = True, timeout: float = 300
    ) -> subprocess.CompletedProcess[str]:
        """`ray COMMAND YAML ARGUMENTS` on the laptop, in the project's folder."""
        yaml = str(self.hosts.home / self.yaml.name)
        return self.hosts.run(
            LAPTOP, "env", "-C", str(ROOT), "ray", command, yaml, *arguments, check=check, timeout=timeout
        )

    def up(self) -> float:
        """`ray up`, until all nodes are there and the laptop has the token. Gives the seconds they took after it."""
        self.ray("up", "--yes")
        for host in (LAPTOP, *self._spares):
            self.hosts.own(host, "home/.ray").mkdir(exist_ok=True)
        self.ray("rsync-down", "~/.ray/auth_token", str(self.hosts.home / ".ray" / "auth_token"))
        for spare in self._spares:
            shutil.copy(self.hosts.own(LAPTOP, "home/.ray/auth_token"), self.hosts.own(spare, "home/.ray"))
        return wait_until(lambda: len(self.alive()) == len(self.nodes), 180, "not all nodes are there")

    def down(self) -> float:
        """`ray down`, until no node runs anything. Gives the seconds that the workers took after
        `ray down` was done.
        """
        self.ray("down", "--yes")
        try:
            return wait_until(lambda: not self.running(), 60, "processes are left")
        except TimeoutError as late:
            raise TimeoutError(f"{late}: {self.running()}") from None

    def running(self) -> list[str]:
        """Command lines of whatever runs on the nodes."""
        return [line for node in self.nodes for line in self.hosts.processes(node)]

    def get(self, path: str, *token: str) -> str:
        """What the dashboard answers to a request on the head, or the code of its refusal."""
        return self.hosts.run(HEAD, "python", "-c", GET, path, *token).stdout.strip()

    def alive(self) -> set[str]:
        """Names of the nodes that Ray counts as alive."""
        names = {self.hosts.ip(name): name for name in self.hosts.names}
        found = json.loads(self.get("/api/v0/nodes", self.token))["data"]["result"]["result"]
        return {names[node["node_ip"]] for node in found if node["state"] == "ALIVE"}

    def python(self, code: str, host: str = HEAD, timeout: float = 120) -> str:
        """What a Python program on a node prints: a driver of the cluster if it calls `ray.init(address="auto")`."""
        return self.hosts.run(host, "python", "-c", code, timeout=timeout, environment=self.environment).stdout

    @contextmanager
    def spare(self, before: str = "", *options: str, environment: Mapping[str, str] | None = None) -> Iterator[None]:
        """The spare host as a further node with the label spare=yes, which nobody starts again but this.

        Args:
            before: a command of the shell that comes first.
            *options: further ones of `ray start`.
            environment: variables of all that Ray starts there.
        """
        words = [
            f"--address={self.address}",
            "--num-cpus=2",
            "--labels=spare=yes",
            "--object-store-memory=100000000",
            *options,
        ]
        start = f". ~/leadline/clusters/node.sh; {before or ':'} && exec ray start {' '.join(words)}"
        self.hosts.run(SPARE, "bash", "-c", start, environment={**self.environment, **(environment or {})})
        try:
            wait_until(lambda: SPARE in self.alive(), 60, "the spare host is no node")
            yield
        finally:
            self.hosts.run(SPARE, "ray", "stop", "--force", check=False)
            wait_until(lambda: SPARE not in self.alive(), 60, "the spare host is still a node")

    def node(self, host: str) -> str:
        """Ray's id of the node that runs there."""
        found = json.loads(self.get("/api/v0/nodes", self.token))["data"]["result"]["result"]
        return next(
            str(node["node_id"])
            for node in found
            if node["state"] == "ALIVE" and node["node_ip"] == self.hosts.ip(host)
        )

    @contextmanager
    def tunnel(self) -> Iterator[str]:
        """`ray dashboard` on the laptop: the dashboard's URL there, also that for jobs."""
        yaml = str(self.hosts.home / self.yaml.name)
        log = self.hosts.own(LAPTOP, "tmp/tunnel.log")
        with log.open("wb") as out:
            command = [*self.hosts.enter(LAPTOP), "env", "-C", str(ROOT), "ray", "dashboard", yaml]
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        connect = "import socket; socket.create_connection(('127.0.0.1', 8265), 2)"
        try:
            wait_until(
                lambda: self.hosts.run(LAPTOP, "python", "-c", connect, check=False).returncode == 0,
                60,
                "there is no tunnel",
            )
            yield "http://127.0.0.1:8265"
        finally:
            # As Ctrl-C would: to the command and its ssh, whose shell on the head waits with `sleep
            # 86400`. In the laptop's own namespace.
            self.hosts.run(LAPTOP, "pkill", "-INT", "-f", "ray dashboard|sleep 86400", check=False)
            process.wait(30)


def _install(project: Path) -> None:
    """As if the yaml's setup commands had run before: they find the environment as constraints.txt wants it."""
    project.mkdir()
    (project / ".venv").symlink_to(VENV)
    sums = subprocess.run(
        ["sha256sum", "constraints.txt", "pyproject.toml"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    (project / ".installed").write_text(sums.stdout)
