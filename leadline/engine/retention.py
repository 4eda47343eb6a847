"""Removes checkpoints that ended trials do not need, while the sweep runs.

It does so in a thread of its own, so that Tune's event loop does not wait for the storage.
"""

from __future__ import annotations

import queue
import threading

from leadline.checkpoint import CheckpointStore
from leadline.engine.director import Director
from leadline.ledger.layout import trial_folder
from leadline.ledger.retention import superseded
from leadline.storage import Folder

__all__ = ["Retention"]


class Retention:
    """A thread that removes the checkpoints that `leadline.ledger.retention` names.

    A `retired` event is recorded for what is gone. A checkpoint that cannot be removed, because the
    storage refuses or the driver dies, is left to `leadline gc`.

    Args:
        director: records the removals; only `tick` and `close` call it.
        folder: the sweep's folder.
    """

    def __init__(self, director: Director, folder: Folder) -> None:
        self._director = director
        self._folder = folder
        self._ended: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        self._gone: queue.SimpleQueue[tuple[int, list[str]]] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="retention", daemon=True)
        self._thread.start()

    def ended(self, trial: int) -> None:
        """Tells that a trial has ended and that no process works on it any more."""
        self._ended.put(trial)

    def tick(self) -> None:
        """Records what has been removed since the last call."""
        while not self._gone.empty():
            self._director.retired(*self._gone.get())

    def close(self, seconds: float) -> None:
        """Ends the thread, waiting so many seconds at most, and records what it has removed."""
        self._ended.put(None)
        self._thread.join(seconds)
        self.tick()

    def _work(self) -> None:
        while (number := self._ended.get()) is not None:
            try:
                self._retire(number)
            except OSError:
                continue

    def _retire(self, number: int) -> None:
        history = self._director.history
        trial = history.trials[number]
        store = CheckpointStore(self._folder / trial_folder(number))
        held = store.names()
        going = superseded(history, trial, held)
        for name in going:
            (store.folder / name).delete()
        left = set(held) - set(going)
        if gone := [
            report.checkpoint for report in trial.reports if report.checkpoint and report.checkpoint not in left
        ]:
            self._gone.put((number, gone))
