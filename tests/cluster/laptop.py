"""The laptop from which sweeps are typed, and what they come to."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Callable

from leadline.checkpoint import attempt_folder
from leadline.ledger.events import Event, Failed, Reported
from leadline.ledger.history import History
from leadline.ledger.layout import trial_folder
from leadline.ledger.reader import LedgerError
from leadline.ledger.segments import read
from leadline.storage import Folder
from tests.ceph import Ceph
from tests.cluster.hosts import ROOT, wait_until
from tests.cluster.testbed import LAPTOP, Cluster
from tests.leadline.ledger_audit import audit

__all__ = ["OUTCOMES", "SCRIPT", "SIZES", "SLOWLY", "Laptop", "outcome"]

OUTCOMES: list[tuple[str, str]] = []
"""Lines of the table that ends the run."""
SCRIPT = "tests/leadline/toy_study.py"
SIZES = ("--trials", "6", "--confirm", "0", "--stuck-after", "60s")
SLOWLY = ("sleep=0.3", "lr=0.1", "offset=0.0")
"""Nobody is worse than another, so that no rung stops a trial."""
REPORTED_SECONDS = 180.0


def outcome(fault: str, seen: str) -> None:
    """A line of the table."""
    OUTCOMES.append((fault, seen))


class Laptop:
    """Where sweeps are typed.

    Args:
        url: of the dashboard, as seen there.
    """

    def __init__(self, cluster: Cluster, url: str, store: Ceph) -> None:
        self.cluster, self.url, self.store = cluster, url, store

    @property
    def storage(self) -> str:
        """Of all sweeps."""
        return f"s3://bucket/sweeps?{self.store.options}"

    def type(self, *words: str) -> subprocess.Popen[str]:
        """Python on the project's folder, with the token and the dashboard's address."""
        environment = {**self.cluster.environment, "RAY_ADDRESS": self.url, "PYTHONPATH": str(ROOT)}
        command = [*self.cluster.hosts.enter(LAPTOP, environment), "env", "-C", str(ROOT), "python", *words]
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def sweep(self, name: str, *words: str, script: str = SCRIPT) -> subprocess.Popen[str]:
        """A sweep of that name; its options are the toy's."""
        return self.type(script, *SIZES, "--storage", self.storage, "--name", name, *words)

    def folder(self, name: str) -> Folder:
        """Of a sweep."""
        return self.store.at(f"sweeps/{name}")

    def events(self, name: str) -> list[Event]:
        """What the ledger has by now."""
        try:
            return list(read(self.folder(name) / "ledger"))
        except LedgerError:
            return []

    def history(self, name: str) -> History:
        """What they come to."""
        return History.of(self.events(name))

    def reported(self, name: str, host: str = "") -> list[int]:
        """Waits until a trial has reported, and trains on that host. Gives those that do."""
        wait_until(lambda: bool(self.on(name, host)), REPORTED_SECONDS, "no trial trains there")
        return self.on(name, host)

    def on(self, name: str, host: str = "") -> list[int]:
        """Trials that have reported and train on a host, or anywhere."""
        trials = self.history(name).trials.values()
        return [
            t.number
            for t in trials
            if t.status == "running" and t.reports and host in ("", *self.hosts(name, t.number, t.attempts))
        ]

    def log(self, name: str, trial: int, attempt: int) -> str:
        """Of an attempt; empty where it has none."""
        try:
            return self.folder(name).read(f"{trial_folder(trial)}/{attempt_folder(attempt)}/log.txt").decode()
        except FileNotFoundError:
            return ""

    def hosts(self, name: str, trial: int, attempt: int) -> list[str]:
        """Where an attempt has trained, by its log."""
        log = self.log(name, trial, attempt)
        group = re.findall(r" workers on ([\w ]+)\n", log)
        return group[-1].split() if group else re.findall(r" in process \d+ on (\w+),", log)

    def everywhere(self, name: str) -> set[str]:
        """Where the attempts of a sweep have trained."""
        attempts = [
            (trial.number, attempt + 1)
            for trial in self.history(name).trials.values()
            for attempt in range(trial.attempts)
        ]
        return {host for trial, attempt in attempts for host in self.hosts(name, trial, attempt)}

    def accounted(self, name: str, run: subprocess.Popen[str]) -> str:
        """Waits for the end, checks ledger and exit code, and gives what was printed."""
        out, _ = run.communicate(timeout=600)
        assert run.returncode == 0, out
        history = self.history(name)
        assert history.closed == "done", out
        assert [trial.number for trial in history.search_trials()] == list(range(history.settings.trials))
        assert not [trial.number for trial in history.trials.values() if trial.open or trial.status == "failed"], out
        assert audit(self.folder(name)) == []
        return out

    def ended(self, fault: str, name: str, run: subprocess.Popen[str], further: Callable[[], str] = str) -> str:
        """As `accounted`, with a line in the table, to which `further` adds what can be told then."""
        began = time.monotonic()
        out = self.accounted(name, run)
        trials = self.history(name).trials.values()
        attempts = sum(trial.attempts for trial in trials)
        seen = f"all {len(trials)} trials end, none failed, {attempts} attempts; the ledger's audit finds nothing"
        outcome(fault, f"{seen}{f'; {words}' if (words := further()) else ''} ({time.monotonic() - began:.0f} s more)")
        return out

    def anew(self, name: str, trials: list[int], since: float) -> float:
        """Seconds from a moment (since the epoch), at which they were lost, to the first report of
        their next attempts, the longest.
        """
        firsts, lost = dict[int, float](), set[int]()
        for event in self.events(name):
            if isinstance(event, Failed) and event.time > since:
                lost.add(event.trial)
            elif isinstance(event, Reported) and event.trial in lost:
                firsts.setdefault(event.trial, event.time)
        return max(firsts[trial] for trial in trials) - since
