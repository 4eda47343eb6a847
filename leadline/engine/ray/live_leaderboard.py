"""The leaderboard in Ray's dashboard: on the job page, among the logs, and as metrics.

All three are views of the history, rendered in a thread of their own. That thread has its own
history, which it updates with the same events as the director's. Only a queue of events is shared,
so the event loop of Ray Tune never waits.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from leadline.engine.director import Director
from leadline.engine.ray.gauges import Gauges
from leadline.engine.ray.private import submission
from leadline.engine.ray.ray_dashboard import JobPage, LogPage
from leadline.errors import told
from leadline.ledger.events import Event
from leadline.ledger.leaderboard_text import Board, Place

__all__ = ["LiveLeaderboard"]

SECONDS = 1.0
"""Least time between two refreshes."""
SHARE = 0.25
"""Largest share of one CPU core that refreshing may use, once a single refresh takes longer than
`SECONDS`."""
CLOSING_SECONDS = 10.0
"""How long `close` waits for the last refresh."""


class LiveLeaderboard:
    """Shows a director's sweep in the dashboard of the Ray that this process has joined.

    Args:
        director: the sweep's director. Its `record` is wrapped to see new events, and its history
            is copied once.
        name: the sweep's name.
        storage: the sweep's folder without options or secrets, as `str(Folder)` gives it.
        say: called once for each thing that cannot be shown, with the reason.
        places: returns where the running trials train, by trial, as far as known; it is called in a
            thread of its own.
        job: the submission id of the Ray job whose driver this process is; None to find it out,
            empty if there is none.
    """

    def __init__(
        self,
        director: Director,
        name: str,
        storage: str,
        say: Callable[[str], None] = lambda text: None,
        places: Callable[[], Mapping[int, Sequence[Place]]] = dict,
        job: str | None = None,
    ) -> None:
        self._director = director
        self._name = name
        self._storage = storage
        self._say = say
        self._places = places
        self._board = Board(director.history.copy(), name, storage)
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._rungs: dict[str, dict[int, int]] = {}
        self._seen = 0.0
        self._failed: set[str] = set()
        self._shown: Mapping[int, Sequence[Place]] | None = None
        self._gauges: Gauges | None = None
        self._log: LogPage | None = None
        self._job: JobPage | None = None
        self._links: dict[str, str] = {}
        self._attempt("metrics", self._open_gauges)
        self._attempt("the leaderboard among Ray's logs", self._open_log)
        self._attempt("Ray's job page", lambda: self._open_job(job))
        self._listen()
        self.tick()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="live-leaderboard", daemon=True)
        self._thread.start()

    def _open_gauges(self) -> None:
        self._gauges = Gauges(self._name)

    def _open_log(self) -> None:
        self._log = LogPage(f"leaderboard-{self._name}.log")
        self._links["leaderboard"] = self._log.link

    def _open_job(self, job: str | None) -> None:
        if found := submission() if job is None else job:
            self._job = JobPage(found)
            self._links["job page"] = self._job.link

    def _listen(self) -> None:
        """Puts each event that the director records into the queue, too.

        Events never change once they are recorded, so that they are passed on without a copy.
        """
        record = self._director.record

        def listened(event: Event) -> int | None:
            position = record(event)
            self._events.put(event)
            return position

        self._director.record = listened

    def links(self) -> list[str]:
        """The addresses to look at, a line each; none where there is no dashboard."""
        return [f"{what:<12} {link}" for what, link in self._links.items() if link]

    def tick(self) -> None:
        """Copies the few numbers that no event has; call it often, in the director's thread."""
        now = time.monotonic()
        if now - self._seen >= SECONDS / 2:
            self._seen = now
            self._rungs = {stratum: asha.population() for stratum, asha in self._director.asha.items()}

    def close(self) -> None:
        """Shows the last state and ends the thread."""
        self._stop.set()
        self._thread.join(CLOSING_SECONDS)

    def _run(self) -> None:
        spent = 0.0
        while not self._stop.wait(max(SECONDS - spent, spent * (1 / SHARE - 1))):
            began = time.thread_time()
            self._attempt("the leaderboard in Ray's dashboard", self._round)
            spent = time.thread_time() - began
        self._attempt("the leaderboard in Ray's dashboard", self._round)

    def _round(self) -> None:
        changed = self._take()
        places = dict(self._places())
        if self._board.history.opened is None:
            return
        if self._gauges:
            gauges = self._gauges
            self._attempt("metrics", lambda: gauges.set(self._board, self._rungs))
        if changed or places != self._shown:
            self._attempt("the leaderboard among Ray's logs", lambda: self._write_log(places))
            self._attempt("Ray's job page", self._write_job)
            self._shown = places

    def _take(self) -> bool:
        """Updates this thread's history with new events; returns whether there is news."""
        changed = self._shown is None
        while not self._events.empty():
            event = self._events.get()
            self._board.history.apply(event)
            self._board.touch(event)
            changed = True
        return changed

    def _write_log(self, places: Mapping[int, Sequence[Place]]) -> None:
        if self._log:
            self._log.write(self._board.text(places))

    def _write_job(self) -> None:
        if self._job:
            board = self._board
            history = board.history
            best = board.summary()
            progress = board.progress()
            told = {
                "job_name": self._name,
                "sweep": self._name,
                "storage": self._storage,
                "progress": progress,
                "best": "; ".join(best),
            }
            message = [*best, f"{self._name}, {history.closed or 'running'}: {progress}"]
            self._job.write("\n".join(message), told)

    def _attempt(self, what: str, action: Callable[[], Any]) -> None:
        """Runs an action of a view; a failure is told once, and does not harm the sweep."""
        try:
            action()
        except Exception as error:
            if what not in self._failed:
                self._failed.add(what)
                self._say(f"note: {what} cannot be shown ({told(error)}); the sweep goes on without")
