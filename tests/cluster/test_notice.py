"""Notices of preemption. The metadata service is the one part that is not real, as only a cloud has
it: a local server answers as the
clouds' documentation says theirs do. Where Ray takes part, it is a real one, started by the
commands of the cluster files."""

from __future__ import annotations

import json
import logging
import os
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml
from ray.autoscaler._private.command_runner import _with_interactive

from clusters import notice
from clusters.notice import Notice, Raylet, alone, aws, gcp, raylets, watch
from tests.cluster.hosts import ROOT, VENV, Hosts, wait_until
from tests.cluster.test_yaml import stand_in

SPOT = "/latest/meta-data/spot/instance-action"
REBALANCE = "/latest/meta-data/events/recommendations/rebalance"
PREEMPTED = "/computeMetadata/v1/instance/preempted"
ENDS = json.dumps({"action": "terminate", "time": "2017-09-18T08:22:00Z"})


class Service:
    """A metadata service of either cloud: Amazon's answers only to who fetched a token, Google's
    only to who names its flavor.

    Args:
        host: the address on which it listens.
    """

    def __init__(self, host: str = "127.0.0.1") -> None:
        self.pages: dict[str, str] = {PREEMPTED: "FALSE"}
        self.refuses_tokens = False
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_PUT(self) -> None:
                wellformed = (
                    self.path == "/latest/api/token" and self.headers["X-aws-ec2-metadata-token-ttl-seconds"].isdigit()
                )
                self._answer(*((403, "") if service.refuses_tokens else (200, "TOKEN") if wellformed else (400, "")))

            def do_GET(self) -> None:
                shown = (
                    self.headers["X-aws-ec2-metadata-token"] == "TOKEN" or self.headers["Metadata-Flavor"] == "Google"
                )
                page = service.pages.get(self.path)
                self._answer(*((401, "") if not shown else (404, "") if page is None else (200, page)))

            def _answer(self, code: int, text: str) -> None:
                self.send_response(code)
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer((host, 0), Handler)
        self.url = f"http://{host}:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=[0.05], daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def service() -> Iterator[Service]:
    running = Service()
    yield running
    running.close()


@contextmanager
def raylet_by_name() -> Iterator[Raylet]:
    """A process with what matters of a raylet's command line, which sleeps. Ray itself, which looks
    for the dashes, takes it for none.
    """
    command = ["raylet", "-c", "read _", "node_id=0123abcd", f"gcs-address=10.0.0.1:{os.getpid()}"]
    with subprocess.Popen(command, executable="/bin/sh", stdin=subprocess.PIPE) as process:
        wait_until(lambda: any(one.pid == process.pid for one in raylets()), 20, "the process is not seen")
        try:
            yield next(one for one in raylets() if one.pid == process.pid)
        finally:
            process.kill()


def test_amazon_says_when_the_machine_ends(service: Service) -> None:
    assert aws(service.url) is None
    service.pages[SPOT] = ENDS
    assert aws(service.url) == Notice(
        "AWS: terminate at 2017-09-18T08:22:00Z", datetime(2017, 9, 18, 8, 22, tzinfo=UTC).timestamp()
    )


def test_a_recommendation_to_rebalance_is_no_notice(service: Service) -> None:
    service.pages[REBALANCE] = json.dumps({"noticeTime": "2020-10-27T08:22:00Z"})
    assert aws(service.url) is None


def test_google_says_that_30_seconds_remain(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 1000.0)
    assert gcp(service.url) is None
    service.pages[PREEMPTED] = "TRUE\n"
    assert gcp(service.url) == Notice("Google Cloud: preempted", 1030.0)


MALFORMED = [
    "",
    "{",
    "[]",
    "1",
    "{}",
    '{"action": "terminate"}',
    '{"action": "terminate", "time": 1}',
    ENDS.replace("Z", ""),
    "<html>",
]


@pytest.mark.parametrize("text", MALFORMED)
def test_what_cannot_be_understood_is_an_error(service: Service, text: str) -> None:
    service.pages = {SPOT: text, PREEMPTED: text}
    for ask in (aws, gcp):
        with pytest.raises(ValueError, match="not a notice"):
            ask(service.url)


def test_a_refused_token_and_a_missing_page_of_googles_are_errors(service: Service) -> None:
    service.refuses_tokens, service.pages = True, {SPOT: ENDS}
    with pytest.raises(OSError, match="403"):
        aws(service.url)
    with pytest.raises(OSError, match="404"):
        gcp(service.url)


def test_a_service_that_is_silent_or_not_there_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notice, "ANSWER_SECONDS", 0.1)
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as silent:  # listens, and nobody serves
        url = f"http://127.0.0.1:{silent.server_port}"
        for ask in (aws, gcp):
            with pytest.raises(OSError, match="timed out"):
                ask(url)
    with pytest.raises(OSError, match="refused"):
        aws(url)


def test_no_proxy_is_asked(service: Service) -> None:
    code = "import sys; from clusters.notice import aws; print(aws(sys.argv[1]))"
    environment = {**os.environ, "http_proxy": "http://127.0.0.1:9"}
    for name in ("no_proxy", "NO_PROXY"):
        environment.pop(name, None)
    told = subprocess.run(
        [sys.executable, "-c", code, service.url], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert told.stdout == "None\n", told.stderr


def test_one_process_watches_for_a_raylet() -> None:
    ours, other = Raylet(1, f"test-{os.getpid()}", ""), Raylet(1, f"other-{os.getpid()}", "")
    right = alone(ours)
    assert right
    with right:
        assert alone(ours) is None
        with alone(other) or pytest.fail("it is another raylet"):
            pass
    with alone(ours) or pytest.fail("the right has ended"):
        pass


RAY = """#!/bin/sh
echo "$@" >> {folder}/asked
test $(wc -l < {folder}/asked) -ge 3 || {{ echo the head is away >&2; exit 1; }}
"""


def test_a_drain_that_fails_is_tried_again_until_it_is_done(
    service: Service, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    stand_in(tmp_path / "ray", RAY.format(folder=tmp_path))
    service.pages[SPOT] = ENDS
    with raylet_by_name() as raylet:
        watch(notice.Cloud(aws, service.url, 0.01), raylet, tmp_path / "ray")
    line = (
        f"drain-node --address 10.0.0.1:{os.getpid()} --node-id 0123abcd --reason DRAIN_NODE_REASON_PREEMPTION "
        # the time has passed: no less is taken
        "--reason-message AWS: terminate at 2017-09-18T08:22:00Z --deadline-remaining-seconds 1"
    )
    assert (tmp_path / "asked").read_text().splitlines() == [line] * 3
    assert caplog.messages == [
        "AWS: terminate at 2017-09-18T08:22:00Z",
        "will be tried again: ray drain-node: the head is away",
        "node 0123abcd is draining, 1 s remain",
    ]


def test_trouble_is_said_once_and_outlived(service: Service, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    stand_in(tmp_path / "ray", f"#!/bin/sh\necho $@ > {tmp_path}/asked\n")
    down, odd = OSError("down"), ValueError("odd")
    answers: list[Exception | Notice | None] = [down, down, odd, None, down, Notice("soon", 0)]

    def ask(_: str) -> Notice | None:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    with raylet_by_name() as raylet:
        watch(notice.Cloud(ask, "", 0.0), raylet, tmp_path / "ray")
    trouble = [f"will be tried again: {what}" for what in ("down", "odd", "down")]
    assert caplog.messages == [*trouble, "soon", "node 0123abcd is draining, 1 s remain"]
    assert (tmp_path / "asked").exists()


def test_it_ends_with_its_raylet(service: Service, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with raylet_by_name() as raylet:
        watching = threading.Thread(
            target=watch, args=[notice.Cloud(aws, service.url, 0.01), raylet, tmp_path / "ray"], daemon=True
        )
        watching.start()
        watching.join(0.2)
        assert watching.is_alive()
    watching.join(20)
    assert not watching.is_alive()
    assert caplog.messages == ["node 0123abcd has ended"]


DRIVER = """
import json, time, ray
from ray._private.state import state
ray.init(address="auto", log_to_driver=False, logging_level="ERROR")
@ray.remote(num_cpus=1)
class Trial:
    def node(self):
        return ray.get_runtime_context().get_node_id()
trial = Trial.remote()
print(ray.get(trial.node.remote()), flush=True)
while not (draining := state.get_draining_nodes()):
    time.sleep(0.1)
assert ray.get(trial.node.remote()) in draining
print(json.dumps([list(draining), max(draining.values()) / 1000 - time.time()]), flush=True)
ray.kill(trial)
while len(alive := [node for node in ray.nodes() if node["Alive"]]) > 1:
    time.sleep(0.1)
print(json.dumps([node["DeathReasonMessage"] for node in ray.nodes() if not node["Alive"]]), flush=True)
"""
"""A trial on the worker: its node; once that is draining, which nodes are and the seconds that
remain; the trial ends; why the node did.
"""


@pytest.fixture(scope="module")
def hosts() -> Iterator[Hosts]:
    """A head that runs, and two workers with the project and no Ray yet."""
    with Hosts("head", "aws", "gcp") as booted:
        for name in booted.names:
            project, token = booted.own(name, "home/leadline"), booted.own(name, "home/.ray/auth_token")
            project.mkdir()
            (project / ".venv").symlink_to(VENV)
            (project / "clusters").symlink_to(ROOT / "clusters")
            token.parent.mkdir()
            token.write_text("0123456789abcdef" * 4)
            with booted.own(name, "home/.bashrc").open("a") as bashrc:
                bashrc.write(". ~/leadline/clusters/node.sh\n")
        start = "ray start --head --port=6379 --num-cpus=0 --dashboard-host=127.0.0.1"
        booted.run("head", "bash", "-c", f". ~/leadline/clusters/node.sh; {start}")
        yield booted


def watching(hosts: Hosts, cloud: str) -> list[str]:
    """Command lines of the processes that watch on a host."""
    return [line for line in hosts.processes(cloud) if "clusters/notice.py" in line]


def start_worker(hosts: Hosts, cloud: str, url: str, commands: slice) -> None:
    """Runs start commands of the cloud's file over SSH with a terminal, as Ray's autoscaler does."""
    file = {"aws": "cluster.yaml", "gcp": "clusters/gcp.yaml"}[cloud]
    for command in yaml.safe_load((ROOT / file).read_text())["worker_start_ray_commands"][commands]:
        line = f"export RAY_HEAD_IP={hosts.ip('head')} METADATA_URL={shlex.quote(url)}; {command}"
        hosts.run("head", "ssh", "-tt", cloud, *_with_interactive(line))  # type: ignore[no-untyped-call]


@contextmanager
def a_trial(hosts: Hosts) -> Iterator[Callable[[], str]]:
    """The driver on the head: gives its next line."""
    command = [*hosts.enter("head", {"RAY_AUTH_MODE": "token"}), "python", "-c", DRIVER]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as driver:
        assert driver.stdout
        try:
            yield driver.stdout.readline
        finally:
            driver.kill()


@pytest.fixture
def service_of_hosts(hosts: Hosts) -> Iterator[Service]:
    running = Service(hosts.gateway)
    yield running
    running.close()


@pytest.mark.cluster
@pytest.mark.timeout(300)
@pytest.mark.parametrize("cloud", ["aws", "gcp"])
def test_the_node_of_a_spot_machine_is_drained_by_its_notice(
    hosts: Hosts, service_of_hosts: Service, cloud: str
) -> None:
    log = hosts.own(cloud, "home/leadline/notice.log")
    start_worker(hosts, cloud, service_of_hosts.url, slice(None))
    with a_trial(hosts) as says:
        node = says().strip()
        ends = f"{datetime.now(UTC) + timedelta(seconds=120):%Y-%m-%dT%H:%M:%SZ}"
        service_of_hosts.pages |= {SPOT: json.dumps({"action": "terminate", "time": ends}), PREEMPTED: "TRUE"}
        begin = time.monotonic()
        draining, left = json.loads(says())
        print(f"{cloud}: draining {time.monotonic() - begin:.1f} s after the notice, {left:.0f} s remain")
        assert draining == [node]
        assert 0 < left <= {"aws": 120, "gcp": 30}[cloud]
        reason = {"aws": f"AWS: terminate at {ends}", "gcp": "Google Cloud: preempted"}[cloud]
        assert reason in json.loads(says())
    wait_until(lambda: not watching(hosts, cloud), 20, "it has drained the node and still runs")
    said = [
        line.split(" ", 2)[2] for line in log.read_text().splitlines() if "tried again" not in line
    ]  # on a busy machine
    assert said[:2] == [f"watching for notices of {cloud} for node {node}", reason]
    assert said[2].startswith(f"node {node} is draining, ")
    assert len(said) == 3


@pytest.mark.cluster
@pytest.mark.timeout(300)
def test_one_process_watches_as_long_as_the_nodes_raylet_runs(hosts: Hosts, service_of_hosts: Service) -> None:
    log = hosts.own("aws", "home/leadline/notice.log")
    log.unlink(missing_ok=True)
    for nodes in (1, 2):
        start_worker(hosts, "aws", service_of_hosts.url, slice(None))
        wait_until(lambda n=nodes: log.exists() and log.read_text().count("watching") == n, 20, "nobody watches")  # type: ignore[misc]
        start_worker(hosts, "aws", service_of_hosts.url, slice(-1, None))
        wait_until(lambda: len(watching(hosts, "aws")) == 1, 20, "not one process watches")
    hosts.run("aws", "bash", "-c", ". ~/leadline/clusters/node.sh; ray stop")
    wait_until(lambda: not watching(hosts, "aws"), 30, "it outlives its raylet")
    said = [line.split(" ", 2)[2].split()[0] for line in log.read_text().splitlines() if "tried again" not in line]
    assert sorted(said) == ["node", "node", "watching", "watching"]
