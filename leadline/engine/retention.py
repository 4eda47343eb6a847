"""Removes the checkpoints that ended trials do not need, while the sweep runs and off Tune's event loop."""

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
    """A thread that removes what `leadline.ledger.retention` names; what is gone then has a `retired` event.

    What it cannot remove, because the storage refuses or the driver dies, is left to `leadline gc`.

    Args:
        director: records; it is only called by `tick`.
        folder: the sweep's.
    """

    def __init__(self, director: Director, folder: Folder) -> None:
        self._director, self._folder = director, folder
        self._ended: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        self._gone: queue.SimpleQueue[tuple[int, list[str]]] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="retention", daemon=True)
        self._thread.start()

    def ended(self, trial: int) -> None:
        """A trial's last process is done with it."""
        self._ended.put(trial)

    def tick(self) -> None:
        """Records what has been removed since the last call."""
        while not self._gone.empty():
            self._director.retired(*self._gone.get())

    def close(self, seconds: float) -> None:
        """Ends the work, after so many seconds at most, and records the rest."""
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
