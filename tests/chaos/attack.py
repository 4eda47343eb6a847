"""Carries out a plan of kills on a sweep, resumes it where its command has ended, and lets it finish."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import psutil

from leadline import Sweep
from leadline.storage import Folder
from tests.chaos.command import Command, gone
from tests.chaos.plan import Kill
from tests.chaos.seen import Running, Seen
from tests.chaos.stores import Gateway, Store

__all__ = ["Attack", "Struck"]

PATIENCE = 240.0
"""Seconds after which a victim that does not appear, or an end that does not come, is a failure of the sweep."""
AIMING = 20.0
"""Seconds for which the middle of a write is waited for, before the blow falls at a random instant."""
GLANCE = 2.0
"""Seconds for which one process is watched, before another may be chosen."""

_Found = TypeVar("_Found")


class _Over(Exception):
    """The sweep has ended well before all kills were carried out."""


@dataclass
class Struck:
    """A kill that was carried out, and what followed until the next one.

    `hit`: whether the writer died, or its request was lost, in the middle of a write; None where
    that was not aimed at. `state`: that
    of the sweep, as an onlooker finds it right after its machine was lost.
    """

    kill: Kill
    hit: bool | None
    state: str = ""
    restarts: int = 0
    resumes: int = 0
    retries: int = 0
    failures: int = 0


class Attack:
    """Kills what the plan says.

    Args:
        command: has begun the sweep.
        store: where it is stored.
        name: the sweep's.
        kills: the plan.
        say: told of each kill, in a line.
    """

    def __init__(
        self, command: Command, store: Store, name: str, kills: Sequence[Kill], say: Callable[[str], None]
    ) -> None:
        self.command, self.store, self.kills, self.say = command, store, kills, say
        self.folder: Folder = store.folder(name)
        self.seen = Seen(self.folder)
        self.struck: list[Struck] = []
        self._reports, self._aimed, self._began = 0, 0.0, time.monotonic()

    def carry_out(self) -> list[Struck]:
        """All kills, or as many as the sweep lives to see, and the end of the sweep.

        Raises:
            AssertionError: if the sweep does not end with code 0.
        """
        with contextlib.suppress(_Over):
            self._until(lambda: self.seen.look().manifests or None)
            for kill in self.kills:
                self._instant(kill)
                self._strike(kill)
            self._until(lambda: None)
        self._account()
        return self.struck

    def _until(self, look: Callable[[], _Found | None], patience: float = PATIENCE) -> _Found:
        """What is looked for, once it is there; a command that has ended too early is resumed."""
        deadline, reports = time.monotonic() + patience, self.seen.reports
        while True:
            with contextlib.suppress(psutil.NoSuchProcess):
                if (found := look()) is not None:
                    return found
            code = self.command.code
            if code == 0:
                raise _Over
            if code is not None:
                assert self.command.resumes < 10 + 2 * len(self.kills), (
                    f"it does not end well:\n{self.command.said[-4000:]}"
                )
                self.say(f"{time.monotonic() - self._began:5.0f} s  the command has ended with {code}; resumed")
                self.command.resume()
            self.seen.look()
            if self.seen.reports > reports:
                deadline, reports = time.monotonic() + patience, self.seen.reports
            assert time.monotonic() < deadline, f"nothing has happened for {patience:g} s:\n{self.command.said[-4000:]}"
            time.sleep(0.2 if self.store.server else 0.1)

    def _instant(self, kill: Kill) -> None:
        if not kill.early:
            self._until(lambda: self.seen.reports > self._reports or None)
        time.sleep(kill.delay)

    def _strike(self, kill: Kill) -> None:
        self._aimed = 0.0
        struck = self._until(lambda: self._struck(kill))
        hit = "" if struck.hit is None else ", hit" if struck.hit else ", missed"
        self.say(f"{time.monotonic() - self._began:5.0f} s  {len(self.struck) + 1}. {kill}{hit}")
        if "machine" in kill.victims:
            struck.state = Sweep.open(self.folder.uri).state
        self.struck.append(struck)
        self.seen.look()
        self._reports = self.seen.reports

    def _account(self) -> None:
        """What has followed on the last kill until now."""
        self.seen.look()
        if self.struck:
            last, before = self.struck[-1], self.struck[:-1]
            last.restarts = self.command.restarts - sum(past.restarts for past in before)
            last.resumes = self.command.resumes - sum(past.resumes for past in before)
            last.failures = self.seen.failures - sum(past.failures for past in before)
            last.retries = self.seen.retries - sum(past.retries for past in before)

    def _struck(self, kill: Kill) -> Struck | None:
        """The blow, if all victims are there and its aim is met, or need not be met any more."""
        self._account()
        trial = self._spared(kill) if "trial" in kill.victims or kill.aim == "upload" else None
        victims = self._victims(kill, trial)
        writer = trial.process if trial and kill.aim == "upload" else self.command.driver()
        if victims is None or writer is None or (kill.aim == "upload" and trial is None):
            return None
        if not kill.aim:
            self._kill(kill, victims)
            return Struck(kill, None)
        place = trial.folder if trial and kill.aim == "upload" else self.folder / "ledger"
        began = time.monotonic()
        with self.store.caught(kill.aim, writer, place, GLANCE) as within:
            self._aimed += time.monotonic() - began
            if not within() and self._aimed < AIMING:
                return None
            self._kill(kill, victims)
            return Struck(kill, within())

    def _spared(self, kill: Kill) -> Running | None:
        """A trial whose process may be killed: the next failure is not its last."""
        running = self.seen.running()
        mortal = [trial for trial in running if trial.failures < self.seen.history.settings.max_failures]
        return mortal[int(kill.pick * len(mortal))] if mortal else None

    def _victims(self, kill: Kill, trial: Running | None) -> list[psutil.Process] | None:
        """Processes to kill; None where one is not there."""
        found: list[psutil.Process | None] = []
        for victim in kill.victims:
            if victim == "machine":
                found += self.command.everything() or [None]
            elif victim == "parent":
                found.append(psutil.Process(self.command.process.pid) if self.command.driver() else None)
            elif victim == "trial":
                found.append(trial.process if trial else None)
            elif victim == "driver":
                found.append(self.command.driver())
            elif victim in ("raylet", "gcs_server"):
                found.append(self.command.ray(victim))
        there = [process for process in found if process is not None]
        return there if len(there) == len(found) else None

    def _kill(self, kill: Kill, victims: list[psutil.Process]) -> None:
        for process in victims:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        gone(victims)
        if kill.stored:
            assert isinstance(self.store, Gateway)
            self.store.away("frozen store" in kill.victims, kill.pause)
