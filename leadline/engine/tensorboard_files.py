"""Writes a trial's TensorBoard file once the trial has ended, while the sweep runs.

It does so in a thread of its own, so that Tune's event loop does not wait for the storage.
"""

from __future__ import annotations

import queue
import threading

from leadline.engine.director import Director
from leadline.ledger import tensorboard
from leadline.storage import Folder

__all__ = ["TensorBoardFiles"]


class TensorBoardFiles:
    """A thread that writes the files of trials that have ended.

    What it does not get to, because the storage refuses or the driver dies, is written when a
    driver ends.

    Args:
        director: has the history; it is only read.
        folder: the sweep's folder.
    """

    def __init__(self, director: Director, folder: Folder) -> None:
        self._director = director
        self._folder = folder / tensorboard.FOLDER
        self._columns: set[str] = set()
        self._ended: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="tensorboard", daemon=True)
        self._thread.start()

    def ended(self, trial: int) -> None:
        """Tells that a trial has ended."""
        self._ended.put(trial)

    def close(self, seconds: float) -> None:
        """Ends the thread, waiting so many seconds at most."""
        self._ended.put(None)
        self._thread.join(seconds)

    def _work(self) -> None:
        while (number := self._ended.get()) is not None:
            try:
                self._write(number)
            except Exception:  # a view costs no sweep; what is wrong is said when a driver ends
                continue

    def _write(self, number: int) -> None:
        history = self._director.history
        trial = history.trials[number]
        tensorboard.write_run(history, trial, self._folder)
        if not set(tensorboard.hyperparameters(history, trial)) <= self._columns:
            self._columns = tensorboard.write_table(history, self._folder)
