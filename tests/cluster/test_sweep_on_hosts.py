"""A sweep from a laptop on a real cluster of hosts, on S3, while hosts and the store fail: every trial is accounted for."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterator

import pytest

from sweeps.ledger.history import History
from sweeps.ledger.reading import LedgerError
from sweeps.ledger.segments import read
from tests.cluster.hosts import ROOT, wait_until
from tests.cluster.testbed import HEAD, LAPTOP, WORKERS, Cluster
from tests.conftest import S3Server
from tests.sweeps.books import audit

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]
CREDENTIALS = "[default]\naws_access_key_id = id\naws_secret_access_key = secret\n"
SCRIPT = "tests/sweeps/toy_study.py"
SIZES = ("--trials", "6", "--confirm", "0", "--stuck-after", "60s")
SLOWLY = ("sleep=0.5", "lr=0.1", "offset=0.0")
"""Nobody is worse than another, so that no rung stops a trial."""


class Laptop:
    """Where sweeps are typed."""

    def __init__(self, cluster: Cluster, url: str, s3: S3Server) -> None:
        self.cluster, self.url, self.s3 = cluster, url, s3

    def type(self, *words: str) -> subprocess.Popen[str]:
        """Python on the project's folder, with the token and the dashboard's address."""
        environment = {**self.cluster.environment, "RAY_ADDRESS": self.url, "PYTHONPATH": str(ROOT)}
        command = [*self.cluster.hosts.enter(LAPTOP, environment), "env", "-C", str(ROOT), "python", *words]
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def sweep(self, name: str, *words: str) -> subprocess.Popen[str]:
        """A sweep of that name; its options are the toy's."""
        return self.type(SCRIPT, *SIZES, "--storage", f"s3://bucket/sweeps?{self.s3.options}", "--name", name, *words)

    def history(self, name: str) -> History:
        """What the ledger says by now."""
        try:
            return History.of(read(self.s3.at(f"sweeps/{name}/ledger")))
        except LedgerError:
            return History()

    def accounted(self, name: str, run: subprocess.Popen[str]) -> str:
        """Waits for the end, checks ledger and exit code, and gives what was printed."""
        out, _ = run.communicate(timeout=600)
        assert run.returncode == 0, out
        history = self.history(name)
        assert history.closed == "done", out
        assert [trial.number for trial in history.search_trials()] == list(range(6))
        assert not [trial.number for trial in history.trials.values() if trial.open or trial.status == "failed"], out
        assert audit(self.s3.at(f"sweeps/{name}")) == []
        return out


@pytest.fixture(scope="module")
def laptop(cluster: Cluster, s3_credentials: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laptop]:
    """With a tunnel to the dashboard and a store that all hosts reach."""
    for host in (HEAD, *WORKERS, LAPTOP):
        place = cluster.hosts.own(host, "home/.aws")
        place.mkdir(exist_ok=True)
        (place / "credentials").write_text(CREDENTIALS)
    server = S3Server(tmp_path_factory.mktemp("s3") / "log", cluster.hosts.gateway)
    with cluster.tunnel() as url:
        yield Laptop(cluster, url, server)
    server.kill()


def on(laptop: Laptop, name: str, host: str) -> list[int]:
    """Trials that have reported and train on a host, by the ledger and the logs of their attempts."""
    found = []
    for trial in laptop.history(name).trials.values():
        log = laptop.s3.at(f"sweeps/{name}/trials/{trial.number:04d}/attempt-{trial.attempts:02d}")
        if trial.status == "running" and trial.reports and f" on {host}," in log.read("log.txt").decode():
            found.append(trial.number)
    return found


def test_it_finishes_on_both_workers_and_none_on_the_head(laptop: Laptop) -> None:
    out = laptop.accounted("whole", laptop.sweep("whole"))
    assert re.search(rf"note: on the Ray cluster at {laptop.cluster.address}: .*{HEAD} no CPU", out), out
    hosts = {
        re.findall(r" on (\w+),", laptop.s3.at(f"sweeps/whole/trials/{number:04d}/attempt-01").read("log.txt").decode())[0]
        for number in range(6)
    }
    assert hosts == set(WORKERS)


def test_a_worker_that_loses_its_power(laptop: Laptop) -> None:
    hosts, run = laptop.cluster.hosts, laptop.sweep("power", *SLOWLY)
    wait_until(lambda: bool(on(laptop, "power", "one")), 180, "no trial trains there")
    lost = on(laptop, "power", "one")
    hosts.crash("one")
    try:
        out = laptop.accounted("power", run)
    finally:
        hosts.boot("one")
    assert "note: node one is gone" in out
    assert {laptop.history("power").trials[number].cause for number in lost} == {"lost"}


def test_a_worker_whose_cable_is_pulled_and_plugged_back(laptop: Laptop) -> None:
    hosts, run = laptop.cluster.hosts, laptop.sweep("cable", *SLOWLY)
    wait_until(lambda: bool(on(laptop, "cable", "two")), 180, "no trial trains there")
    lost = on(laptop, "cable", "two")
    hosts.cable("two", plugged=False)
    try:
        wait_until(lambda: all(laptop.history("cable").trials[number].cause == "lost" for number in lost), 90, "nobody noticed")
    finally:
        hosts.cable("two", plugged=True)
    laptop.accounted("cable", run)


def test_a_store_that_is_frozen_for_half_a_minute(laptop: Laptop) -> None:
    run = laptop.sweep("frozen", *SLOWLY)
    wait_until(lambda: any(trial.reports for trial in laptop.history("frozen").trials.values()), 180, "nothing is reported")
    laptop.s3.freeze()
    time.sleep(30)
    laptop.s3.thaw()
    laptop.accounted("frozen", run)
    assert not [trial.failures for trial in laptop.history("frozen").trials.values() if trial.failures]


def test_a_head_that_dies_and_is_brought_up_again(laptop: Laptop) -> None:
    """Last: it takes the tunnel with it."""
    cluster, run = laptop.cluster, laptop.sweep("head", *SLOWLY)
    wait_until(lambda: any(trial.reports for trial in laptop.history("head").trials.values()), 180, "nothing is reported")
    cluster.hosts.crash(HEAD)
    cluster.hosts.boot(HEAD)
    run.terminate()
    run.wait(60)
    cluster.up()
    reports = sum(len(trial.reports) for trial in laptop.history("head").trials.values())
    with cluster.tunnel() as url:
        again = Laptop(cluster, url, laptop.s3)
        words = (SCRIPT, "--storage", f"s3://bucket/sweeps?{laptop.s3.options}", "--resume", "head")
        out = again.accounted("head", again.type(*words))
    assert "sweep head in" in out
    assert sum(len(trial.reports) for trial in laptop.history("head").trials.values()) > reports
