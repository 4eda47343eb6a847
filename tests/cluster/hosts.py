"""Hosts on one machine: Linux namespaces on a bridge, each with its own network, processes, files
and sshd, and a cable.
"""

from __future__ import annotations

import ipaddress
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType

import psutil

__all__ = ["ROOT", "VENV", "Hosts", "wait_until"]

ROOT = Path(__file__).parents[2]
VENV = ROOT / ".venv"
SSH_OPTIONS = "Host *\n StrictHostKeyChecking no\n UserKnownHostsFile /dev/null\n LogLevel ERROR\n"
SSHD_OPTIONS = (
    "PermitRootLogin prohibit-password\nPasswordAuthentication no\nUsePAM no\nStrictModes no\nMaxStartups 100\n"
)
NAMESPACES = ("--net", "--mount", "--uts", "--ipc", "--pid")
OWN = {
    "tmp": "/tmp",
    "home": "{home}",
    "ssh": "/etc/ssh",
    "passwd": "/etc/passwd",
    "names": "/etc/hosts",
    "dns": "/etc/resolv.conf",
}
"""What a host has of its own, and where it sees it."""


class Hosts:
    """A network of hosts, for use in `with`. Root is needed, with openssh-server, rsync and iproute2.

    The machine's files are seen by all hosts, except /tmp, the home of root, /etc/ssh, /etc/hosts
    and /dev/shm, which each has for itself,
    and keeps while it is down. All may log in to all as root, by name, without a password. This
    process is `gateway` to them.

    Args:
        names: of the hosts.

    Raises:
        RuntimeError: this project lies in /tmp.
        subprocess.CalledProcessError: the kernel refuses, or a program is missing.
    """

    def __init__(self, *names: str) -> None:
        if ROOT.is_relative_to("/tmp"):
            raise RuntimeError(
                f"{ROOT}: the hosts, which have a /tmp of their own, would not see the project; move it elsewhere"
            )
        self.names = names
        self.bridge = f"lead{os.getpid()}"
        self.network = _free_network()
        self.gateway = str(self.network[1])
        self.folder = Path(tempfile.mkdtemp(prefix="hosts-", dir="/var/tmp"))
        self.home = self.folder / "home"
        self._booted: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Hosts:
        try:
            self._wire()
            for name in self.names:
                self._furnish(name)
                self.boot(name)
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def ip(self, host: str) -> str:
        """Its address on the bridge."""
        return str(self.network[11 + self.names.index(host)])

    def own(self, host: str, path: str) -> Path:
        """Where this process finds a file that the host has for itself: `path` begins with tmp or home."""
        return self.folder / host / path

    def give(self, key: str, secret: str) -> None:
        """Writes credentials for an S3 into the home of each host, in place of those that are there."""
        for host in self.names:
            place = self.own(host, "home/.aws")
            place.mkdir(exist_ok=True)
            (place / ".credentials").write_text(
                f"[default]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\n"
            )
            (place / ".credentials").replace(place / "credentials")

    def boot(self, host: str) -> None:
        """Starts it; it answers to ssh afterwards. Its files are as they were."""
        unshare = [
            "unshare",
            *NAMESPACES,
            "--fork",
            "--kill-child",
            "--mount-proc",
            "bash",
            "-e",
            "-c",
            self._init(host),
        ]
        with (self.folder / host / "log").open("ab") as log:
            self._booted[host] = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *unshare], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        wait_until(lambda: bool(psutil.Process(self._booted[host].pid).children()), 10, f"{host} has no process")
        self._plug_in(host)
        ssh = [
            "ssh",
            "-F",
            str(self.folder / host / "home/.ssh/config"),
            "-i",
            str(self.folder / "key"),
            f"root@{self.ip(host)}",
            "true",
        ]
        wait_until(
            lambda: subprocess.run(ssh, capture_output=True).returncode == 0, 20, f"{host} does not answer to ssh"
        )

    def crash(self, host: str) -> None:
        """As by a power cut: the cable first, so that nothing says goodbye, then SIGKILL to its
        process 1, with which all others end.
        """
        self.cable(host, plugged=False)
        os.kill(self._pid(host), signal.SIGKILL)
        self._booted.pop(host).wait(30)

    def cable(self, host: str, *, plugged: bool) -> None:
        """Pulls the host's cable or plugs it back. The host sees that it is gone; nobody else does."""
        _ip("link", "set", self._cable(host), "up" if plugged else "down")

    def run(
        self,
        host: str,
        *command: str,
        environment: Mapping[str, str] | None = None,
        check: bool = True,
        timeout: float = 120,
    ) -> subprocess.CompletedProcess[str]:
        """Runs a command inside, in its home, with the project's virtual environment on the path
        and nothing of this process's environment.

        Args:
            host: where.
            *command: program and arguments.
            environment: further variables.
            check: whether an exit code other than 0 is an error.
            timeout: seconds.
        """
        return subprocess.run(
            [*self.enter(host, environment), *command], check=check, timeout=timeout, capture_output=True, text=True
        )

    def enter(self, host: str, environment: Mapping[str, str] | None = None) -> list[str]:
        """What stands before a command that is to run inside, for `subprocess.Popen`."""
        variables = {
            "HOME": str(self.home),
            "PATH": f"{VENV}/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "LANG": "C.UTF-8",
            "TERM": "dumb",
        }
        inside = ["nsenter", "--target", str(self._pid(host)), *NAMESPACES, "--"]
        settings = [f"{name}={value}" for name, value in {**variables, **(environment or {})}.items()]
        return [*inside, "env", "-i", "-C", str(self.home), *settings]

    def ssh(
        self, host: str, command: str, *, start: str = "", check: bool = True, timeout: float = 120
    ) -> subprocess.CompletedProcess[str]:
        """Runs a shell command by ssh, as login shells do.

        Args:
            host: where it runs.
            command: a line for the host's bash.
            start: the host that logs in; the last one if empty.
            check: whether an exit code other than 0 is an error.
            timeout: seconds.
        """
        return self.run(start or self.names[-1], "ssh", host, command, check=check, timeout=timeout)

    def processes(self, host: str) -> list[str]:
        """Command lines of all that runs inside, without its sshd and zombies."""
        space = _namespace(self._pid(host))
        found = []
        for process in psutil.process_iter():
            try:
                if _namespace(process.pid) == space and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(" ".join(process.cmdline()))
            except (psutil.Error, OSError):  # ended meanwhile
                continue
        return [line for line in found if not line.startswith(("sshd", "/usr/sbin/sshd"))]

    def end(self) -> None:
        """Kills all that runs inside and removes hosts, bridge and files."""
        for shell in self._booted.values():
            shell.kill()  # unshare takes its child, process 1 of the host, along
        for shell in self._booted.values():
            shell.wait(30)
        self._booted.clear()
        subprocess.run(["ip", "link", "delete", self.bridge], capture_output=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _wire(self) -> None:
        # An address of its own: otherwise it takes the lowest of its ports', and hosts lose the
        # gateway for a while as others boot.
        _ip("link", "add", self.bridge, "address", "02:00:00:00:00:01", "type", "bridge")
        _ip("address", "add", f"{self.gateway}/{self.network.prefixlen}", "dev", self.bridge)
        _ip("link", "set", self.bridge, "up")
        self.home.mkdir()
        _key(self.folder / "key")

    def _furnish(self, host: str) -> None:
        place = self.folder / host
        for folder in ("tmp", "home/.ssh", "ssh"):
            (place / folder).mkdir(parents=True)
        (place / "tmp").chmod(0o1777)
        ssh = place / "home" / ".ssh"
        shutil.copy(self.folder / "key", ssh / "id_ed25519")
        shutil.copy(self.folder / "key.pub", ssh / "authorized_keys")
        (ssh / "config").write_text(SSH_OPTIONS)
        _key(place / "ssh" / "ssh_host_ed25519_key")
        (place / "ssh" / "sshd_config").write_text(SSHD_OPTIONS)
        for skeleton in (".bashrc", ".profile"):
            shutil.copy(Path("/etc/skel") / skeleton, place / "home")
        users = [
            f"root:x:0:0:root:{self.home}:/bin/bash" if u.startswith("root:") else u
            for u in Path("/etc/passwd").read_text().splitlines()
        ]
        (place / "passwd").write_text("\n".join(users) + "\n")
        (place / "dns").touch()  # there is none, which is known at once; the machine's own would be waited for
        (place / "names").write_text(
            "127.0.0.1 localhost\n" + "".join(f"{self.ip(name)} {name}\n" for name in self.names)
        )

    def _init(self, host: str) -> str:
        """The script of process 1, which ends up as sshd: that one waits for orphans too."""
        place = self.folder / host
        mounts = [f"mount --bind {place / name} {target.format(home=self.home)}" for name, target in OWN.items()]
        shm = "mount -t tmpfs -o size=10g,mode=1777 tmpfs /dev/shm"
        run = "mkdir -p /run/sshd; mount -t tmpfs -o mode=755 tmpfs /run/sshd"
        wait = "until ip -4 address show eth0 2>/dev/null | grep -q inet; do sleep 0.05; done"
        return "\n".join(
            ["mount --make-rprivate /", f"hostname {host}", *mounts, shm, run, wait, "exec /usr/sbin/sshd -D -e"]
        )

    def _plug_in(self, host: str) -> None:
        cable, pid = self._cable(host), self._pid(host)
        subprocess.run(
            ["ip", "link", "delete", cable], capture_output=True
        )  # of a host that has crashed: the kernel takes its time
        address = (
            f"02:00:00:00:00:{11 + self.names.index(host):02x}"  # a host that is booted again keeps its network card
        )
        _ip("link", "add", cable, "type", "veth", "peer", "name", "eth0", "address", address, "netns", str(pid))
        _ip("link", "set", cable, "master", self.bridge, "up")
        inside = ["nsenter", "--target", str(pid), "--net", "ip"]
        for change in (["link", "set", "lo", "up"], ["link", "set", "eth0", "up"]):
            subprocess.run([*inside, *change], check=True)
        subprocess.run(
            [*inside, "address", "add", f"{self.ip(host)}/{self.network.prefixlen}", "dev", "eth0"], check=True
        )
        subprocess.run([*inside, "route", "add", "default", "via", self.gateway], check=True)

    def _pid(self, host: str) -> int:
        """Of the host's process 1, as this process sees it."""
        return int(psutil.Process(self._booted[host].pid).children()[0].pid)

    def _cable(self, host: str) -> str:
        return f"{self.bridge}v{self.names.index(host)}"


def wait_until(condition: Callable[[], bool], seconds: float, otherwise: str) -> float:
    """Waits for it and gives the seconds it took.

    Raises:
        TimeoutError: with the text `otherwise`, when it is still not so after `seconds`.
    """
    begin = time.monotonic()
    while not condition():
        if time.monotonic() - begin > seconds:
            raise TimeoutError(f"{otherwise} after {seconds:g} s")
        time.sleep(0.1)
    return time.monotonic() - begin


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)


def _key(file: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(file)], check=True)


def _namespace(pid: int) -> str:
    return os.readlink(f"/proc/{pid}/ns/pid")


def _free_network() -> ipaddress.IPv4Network:
    """One of 10.64.0.0/10 that no interface of this machine is in; processes side by side begin to
    look at different places.
    """
    taken = {
        ipaddress.ip_address(address.address)
        for at in psutil.net_if_addrs().values()
        for address in at
        if address.family.name == "AF_INET"
    }
    all_of_them = list(ipaddress.IPv4Network("10.64.0.0/10").subnets(new_prefix=24))
    start = os.getpid() * 7 % len(all_of_them)
    return next(
        net for net in all_of_them[start:] + all_of_them[:start] if not any(address in net for address in taken)
    )
