"""A second place for a sweep: ledger, code, checkpoints and views, copied while it runs.

    <mirror>/<sweep>/mirror.json    what it is a mirror of
    <mirror>/<sweep>/ledger/...     and what else the sweep's own folder has, but leases, logs
                                    and heartbeats

A thread of the driver copies in rounds. No decision waits for it, and where the second place fails
it is tried again, after longer and longer pauses, while the sweep goes on. In a round it takes the
segments that the ledger has stored; copies the checkpoints that trials need after them (those that
`leadline.ledger.retention` names); publishes the segments, as one file, so that they count together
or not at all; and removes checkpoints that nobody needs any more. So whenever it is cut off, the
mirror is the sweep as it stood at some moment. Each file is read back and compared.

Nobody else writes there. A driver goes on with a mirror once its `mirror.json` was removed, and the
copying, which looks for that file before each file of the ledger, then ends. Where the file is
removed while the sweep lives, one round trip is left in which both may write.
"""

from __future__ import annotations

import dataclasses
import json
import os
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from leadline.analysis.upkeep.sweep_files import Stored, contents
from leadline.checkpoint import CheckpointStore, DamagedCheckpoint
from leadline.config import ConfigError
from leadline.engine.director import Director
from leadline.engine.sweep_name import is_free
from leadline.ledger.compaction import Part
from leadline.ledger.format import START, Record, Segment, Span, encode, lines
from leadline.ledger.layout import trial_folder
from leadline.ledger.mirrored import MARKER, marker
from leadline.ledger.reader import READING_PATIENCE, LedgerError, Scan, listed, scan
from leadline.ledger.retention import needed
from leadline.ledger.segments import Ledger
from leadline.ledger.settings import Settings
from leadline.storage import Folder, patiently

__all__ = ["Mirror", "check", "completed", "placed", "shown"]

ROUND_SECONDS = 30.0
"""Seconds from the end of a round to the next: how far the mirror is behind, beside the copying."""
PATIENCE = 30.0
"""Seconds for which a request is waited for within a round, which is itself tried again."""
PAUSES = 1.0, 300.0
"""Seconds before a failed round is tried again, and at most before a later one; pauses double."""
FILE_BYTES = 1_000_000
"""Bytes of events above which a file of the mirrored ledger is not written anew with more."""
QUIET_SECONDS = 2.0
"""Seconds that the last round may take until the user is told what is waited for."""
_OWN = ("ledger", "lease", "trials")
"""Folders of a sweep that are not simply copied at the end."""


class _Foreign(Exception):
    """Raised where the second place holds something else, so that trying again is of no use."""


def placed(settings: Settings, storage: Folder, *, asked: bool) -> tuple[Settings, list[str]]:
    """Returns the settings with the mirror that can be used with this storage, and a note on it.

    Args:
        settings: what was asked for, or recorded.
        storage: the place of all sweeps.
        asked: whether the mirror was named on the command line. One that is only remembered is
            left out where it has become the storage itself.

    Raises:
        ConfigError: if one of the two places lies in the other.
    """
    if not settings.mirror:
        return settings, []
    try:
        second = Folder.at(settings.mirror)
    except ConfigError:  # a remembered place that cannot be reached now is tried again later
        return settings, []
    if not (storage.holds(second) or second.holds(storage)):
        return settings, []
    if asked:
        raise ConfigError(f"mirror: {second} and the storage {storage} are one, or one lies in the other; name another")
    return dataclasses.replace(settings, mirror=""), [f"the mirror {second} is the storage now; --mirror names another"]


def check(place: str, name: str | None, begun: float | None) -> None:
    """Refuses a second place that cannot be written to, or that holds something else of this name.

    Args:
        place: the second place.
        name: the sweep's name; None where it has none yet.
        begun: when its first driver opened it; None for a new sweep.

    Raises:
        ConfigError: naming the place.
    """
    second = Folder.at(place)
    file = f".writable-{os.getpid()}"

    def attempt() -> None:
        second.write(file, b"")
        second.files.delete_file(f"{second.path}/{file}")

    try:
        patiently(attempt, second, seconds=READING_PATIENCE)
        if name:
            _is_ours(second / name, begun)
    except _Foreign as error:
        raise ConfigError(f"mirror: {error}; name another place") from None
    except OSError as error:
        raise ConfigError(f"mirror: cannot write to {second}: {error}") from None


def shown(place: str) -> str:
    """Returns a second place without the options of its URI."""
    return place.partition("?")[0].rstrip("/") if "://" in place else place


def completed(place: str, name: str, segment: int) -> bool:
    """Returns whether a mirror has all of a sweep that has ended with this segment."""
    try:
        return (marker(Folder.at(place) / name) or {}).get("complete") == segment
    except (OSError, ConfigError):
        return False


def _is_ours(target: Folder, begun: float | None) -> bool:
    """Whether the mirror of the sweep that began then is there; not where nothing is.

    Raises:
        _Foreign: if there is something else.
    """
    found = marker(target, PATIENCE)
    if found is None and not patiently(lambda: is_free(target), target, seconds=PATIENCE):
        raise _Foreign(f"{target} is no mirror (any more): it has no {MARKER}")
    if found and found.get("begun") != begun:
        raise _Foreign(f"{target} is the mirror of another sweep, {found.get('of')}")
    return found is not None


@dataclass
class _Tail:
    """The last file of the mirrored ledger, with what is to be added to it.

    Attributes:
        first, last: the segments that it holds.
        previous, closing: the hashes of the segment before it and of its last one.
        events: the number of its events.
        body: its events, as `lines` gives them.
    """

    first: int
    previous: str
    last: int = 0
    closing: str = START
    events: int = 0
    body: bytes = b""

    def add(self, last: int, closing: str, events: int, body: bytes) -> None:
        """Adds what follows, up to the segment `last`."""
        self.last, self.closing = last, closing
        self.events += events
        self.body += body


class Mirror:
    """Keeps a sweep's mirror, from its construction until `close`.

    Args:
        ledger: the sweep's ledger, which this driver has opened and writes.
        director: the sweep's director, whose history is read.
        folder: the sweep's folder.
        place: the second place.
        say: told, in a line, when copying fails and when it goes on.
    """

    def __init__(
        self, ledger: Ledger, director: Director, folder: Folder, place: str, say: Callable[[str], None]
    ) -> None:
        self._ledger = ledger
        self._director = director
        self._source = folder
        self._place = place
        self._name = folder.path.rsplit("/", 1)[1]
        self._shown = f"{shown(place)}/{self._name}"
        self._say = say
        self._begun = director.history.manifests[0]["time"]
        self._parts: queue.SimpleQueue[Part] = queue.SimpleQueue()
        self._tail: _Tail | None = None
        """None where the mirror has to be compared with the sweep first."""
        self._there = 0
        """The last segment of the mirrored ledger."""
        self._proposed = -1
        """The last trial that the segments taken so far have proposed."""
        self._held: set[tuple[int, str]] = set()
        """The checkpoints in the mirror."""
        self._lost: dict[tuple[int, str], str] = {}
        """What is wrong with checkpoints that the sweep itself does not have intact."""
        self._needs: dict[int, tuple[int, set[str]]] = {}
        """By trial, the number of its reports and the checkpoints that it needs with them."""
        self._failures = 0
        self._cause = ""
        self._state = "INCOMPLETE: --resume goes on with it"
        self._begun_here = False
        """Whether this driver has found or made the mirror's own file."""
        self._until = 0.0
        self._over = threading.Event()
        ledger.sealed = self._parts.put  # before the thread reads what was stored earlier
        self._thread = threading.Thread(target=self._work, name="mirror", daemon=True)
        self._thread.start()

    def close(self, patience: float, at_most: float | None = None) -> str:
        """Copies the rest, once the ledger is closed, and says in a line how far the mirror is.

        Args:
            patience: seconds for which a second place that fails is tried again.
            at_most: seconds to wait in all; None for as long as it takes.
        """
        self._until = time.monotonic() + patience
        self._over.set()
        self._thread.join(QUIET_SECONDS)
        if self._thread.is_alive():
            self._say(f"mirror: copying the rest to {self._shown}")
            self._thread.join(None if at_most is None else max(0.0, at_most - QUIET_SECONDS))
        failed = f"; {self._failures} tries failed, the last: {self._cause}" if self._failures else ""
        lost = f"; not intact in the sweep itself: {', '.join(self._lost.values())}" if self._lost else ""
        return f"mirror       {self._shown}: {self._state}, up to segment {self._there}{failed}{lost}"

    @property
    def _target(self) -> Folder:
        return Folder.at(self._place) / self._name

    def _work(self) -> None:
        pause, longest = PAUSES
        while True:
            over = self._over.is_set()
            try:
                self._round(over)
            except (OSError, LedgerError, ConfigError) as error:
                self._failed(error, "tried again while the sweep goes on" if pause == PAUSES[0] else "")
                if over and time.monotonic() > self._until:
                    return
                # At the end there is no time for long pauses.
                time.sleep(min(pause, 1.0)) if over else self._over.wait(pause)
                pause = min(2 * pause, longest)
            except Exception as error:  # whatever it is, the sweep is not to end for it
                self._failed(error, "nothing more is copied")
                self._state = "INCOMPLETE"
                self._ledger.sealed = lambda part: None
                return
            else:
                if pause > PAUSES[0]:
                    self._say(f"mirror: {self._shown} is up to date again")
                pause = PAUSES[0]
                if over:
                    self._state = "complete"
                    return
                self._over.wait(ROUND_SECONDS)

    def _failed(self, error: Exception, words: str) -> None:
        """Counts a failed round, and says so where there are words."""
        self._failures += 1
        self._cause = str(error) or type(error).__name__
        if words:
            self._say(f"mirror: {words}: {self._cause}")
        # What is stored from now on is read from the ledger, so that it need not stay in memory.
        self._tail = None
        while not self._parts.empty():
            self._parts.get_nowait()

    def _round(self, last: bool) -> None:
        self._claim()
        while True:
            parts = [self._parts.get_nowait() for _ in range(self._parts.qsize())]
            if self._tail is None:
                self._tail = self._compared()
            self._take(parts)
            if self._checkpoints():
                break
        self._publish()
        self._remove()
        if last:
            self._rest()

    def _claim(self) -> None:
        """Begins the mirror where nothing is yet, or nothing any more.

        Raises:
            _Foreign: if something else is there.
            OSError: if the storage refuses, or a local mirror that has begun is not there, as where
                a mount is gone: what lies below is not the second place.
        """
        if not _is_ours(self._target, self._begun):
            if self._begun_here and self._target.local:
                raise OSError(f"{self._target} is not there any more; put it, or its mount, back")
            self._tail = None
            self._mark()
        self._begun_here = True

    def _compared(self) -> _Tail:
        """Finds what the mirror lacks of the sweep; the ledger of a damaged one is written anew.

        Raises:
            _Foreign: if it holds what this sweep's ledger does not.
        """
        target = self._target
        for name in patiently((self._source / "code").sizes, self._source, seconds=PATIENCE):
            self._copy(f"code/{name}")
        here = scan(self._source / "ledger", PATIENCE)
        records = _records(here.segments)
        there, damage = _scanned(target / "ledger")
        self._there = max((span.last for name in there.names if (span := Span.of(name))), default=0)
        held = [] if damage else _records(there.segments)
        if held != records[: len(held)] or self._there > here.segments[-1].span.last:
            raise _Foreign(f"{target} has events that {self._source} has not, from event {_parting(held, records)} on")
        tail = _Tail(1, START)
        if damage:
            self._say(f"mirror: {damage}; written anew from the sweep")
            self._there = 0
        elif there.segments:
            end = there.segments[-1]
            tail = _Tail(end.span.first, end.previous)
            tail.add(end.span.last, end.closing, len(end.records), lines(end.records))
        new = records[len(held) :]
        if new:
            tail.add(here.segments[-1].span.last, here.segments[-1].closing, len(new), lines(new))
        self._proposed = _last_proposed(records)
        mine = patiently(lambda: contents(self._source), self._source, seconds=PATIENCE).files
        copies = patiently(lambda: contents(target), target, seconds=PATIENCE).checkpoints
        self._held = {(one.trial, one.name) for found in copies.values() for one in found if _is_whole(one, mine)}
        return tail

    def _take(self, parts: list[Part]) -> None:
        """Adds segments that were stored to the tail, or begins another one with them."""
        assert self._tail is not None
        new = [part for part in parts if part.number > self._tail.last]
        assert not new or new[0].previous == self._tail.closing
        # A file of one segment would have another hash than the segment: two begin a file.
        if len(new) > 1 and self._there == self._tail.last and len(self._tail.body) > FILE_BYTES:
            self._tail = _Tail(new[0].number, new[0].previous, closing=new[0].previous)
        for part in new:
            self._tail.add(part.number, part.closing, part.events, part.body)
            proposals = [line for line in part.body.splitlines() if b'"type": "proposed"' in line]
            self._proposed = max(self._proposed, _last_proposed(list(map(json.loads, proposals))))

    def _wanted(self) -> dict[tuple[int, str], bool]:
        """The checkpoints that trials need, and whether their trial has ended.

        The history may be ahead of the segments that were taken. What has ended by these has ended
        in it, and trials that they do not know are left out.
        """
        history = self._director.history
        trials = [trial for trial in list(history.trials.values()) if trial.number <= self._proposed]
        ended = {trial.number: not trial.open for trial in trials}
        for trial in trials:
            count = len(trial.reports)
            if self._needs.get(trial.number, (0, set()))[0] != count:
                self._needs[trial.number] = count, needed(history, trial)
        return {(number, name): ended[number] for number in ended for name in self._needs.get(number, (0, set()))[1]}

    def _checkpoints(self) -> bool:
        """Copies what trials need; not all is copied where the sweep has gone on meanwhile."""
        whole = True
        for (number, name), ended in self._wanted().items():
            if (number, name) in self._held or (number, name) in self._lost:
                continue
            place = trial_folder(number)
            copy = CheckpointStore(self._target / place, patience=PATIENCE)
            try:
                CheckpointStore(self._source / place, patience=PATIENCE).copy(name, copy)
            except DamagedCheckpoint as error:
                # One of a trial that trains may have been superseded, and a later one comes soon.
                if ended and self._wanted().get((number, name)):
                    self._lost[number, name] = str(error)
                elif ended:
                    whole = False
            else:
                self._held.add((number, name))
        return whole

    def _publish(self) -> None:
        """Stores the tail where it has grown, and removes the file whose place it takes."""
        tail, folder = self._tail, self._target / "ledger"
        assert tail is not None
        if tail.last == self._there or tail.first == tail.last:
            return
        span = Span(tail.first, tail.last)
        content = encode(span, tail.previous, tail.events, tail.body, tail.closing)
        before = [found for found in map(Span.of, listed(folder, PATIENCE)) if found]
        self._check(before, tail)
        self._put(f"ledger/{span.name}", content)
        self._there = tail.last
        for found in before:
            if found != span and span.first <= found.first and found.last <= span.last:
                self._delete(f"ledger/{found.name}")

    def _check(self, before: list[Span], tail: _Tail) -> None:
        """Looks that the mirror is still one: a driver that goes on with it would be overwritten.

        Raises:
            _Foreign: if it is none any more.
            OSError: if nothing is there any more.
        """
        if not _is_ours(self._target, self._begun):
            raise OSError(f"{self._target} is not there any more")
        # A write that was given up may still come through; it has begun the same file.
        others = [span for span in before if not (span.compacted and span.first == tail.first)]
        if any(span.last > (self._there or tail.last) for span in others):
            raise _Foreign(f"{self._target}/ledger has a segment of another writer")

    def _remove(self) -> None:
        """Removes checkpoints that are superseded by others that are there."""
        wanted = set(self._wanted())
        missing = {number for number, _ in wanted - self._held}
        for number, name in self._held - wanted:
            if number not in missing:
                place = self._target / trial_folder(number) / name
                patiently(place.delete, place, seconds=PATIENCE)
                self._held.discard((number, name))

    def _rest(self) -> None:
        """Copies report, TensorBoard files, notes and whatever else is there, and marks that."""
        source = self._source
        files = [*patiently(source.sizes, source, seconds=PATIENCE)]
        for name in set(patiently(source.folders, source, seconds=PATIENCE)) - {*_OWN}:
            below = source / name
            found = patiently(partial(below.sizes, recursive=True), below, seconds=PATIENCE)
            files += [f"{name}/{file}" for file in found]
        for name in files:
            self._copy(name)
        if not _is_ours(self._target, self._begun):
            raise OSError(f"{self._target} is not there any more")
        self._mark(self._there)

    def _mark(self, complete: int = 0) -> None:
        of = {"of": str(self._source), "begun": self._begun, "complete": complete}
        self._put(MARKER, json.dumps(of).encode())

    def _copy(self, name: str) -> None:
        self._put(name, patiently(lambda: self._source.read(name), f"{self._source}/{name}", seconds=PATIENCE))

    def _put(self, name: str, content: bytes) -> None:
        """Stores a file in the mirror, and reads it back."""
        target = self._target

        def write() -> None:
            target.write(name, content)
            if target.read(name) != content:
                raise OSError(f"{target}/{name}: it is not what was written")

        patiently(write, f"{target}/{name}", seconds=PATIENCE, size=2 * len(content))

    def _delete(self, name: str) -> None:
        target = self._target
        try:
            patiently(lambda: target.files.delete_file(f"{target.path}/{name}"), f"{target}/{name}", seconds=PATIENCE)
        except FileNotFoundError:
            return


def _scanned(folder: Folder) -> tuple[Scan, str]:
    """A mirrored ledger, and what is wrong with it; empty where nothing is."""
    try:
        found = scan(folder, PATIENCE)
    except LedgerError as error:
        return Scan(listed(folder, PATIENCE), [], None, str(error), []), str(error)
    return found, found.problem


def _records(segments: list[Segment]) -> list[Record]:
    return [record for segment in segments for record in segment.records]


def _parting(held: list[Record], records: list[Record]) -> int:
    """The number of the first event, from 1, that two ledgers do not share."""
    pairs = enumerate(zip(held, records, strict=False), start=1)
    return next((at for at, (one, other) in pairs if one != other), min(len(held), len(records)) + 1)


def _last_proposed(records: list[Record]) -> int:
    return max((record["trial"] for record in records if record["type"] == "proposed"), default=-1)


def _is_whole(copy: Stored, sizes: dict[str, int]) -> bool:
    """Whether a copied checkpoint has all files, with the sweep's sizes where it still has it."""
    same = all(sizes.get(f"{copy.path}/{file}", size) == size for file, size in copy.files.items())
    return len(copy.files) == 3 and same
