"""Writes a trial's TensorBoard file once the trial has ended, while the sweep runs.

It does so in a thread of its own, so that Tune's event loop does not wait for the storage.
"""

from __future__ import annotations

import contextlib
import queue
import threading

from leadline.engine.director import Director
from leadline.ledger import tensorboard
from leadline.storage import Folder

__all__ = ["TensorBoardFiles"]


class TensorBoardFiles:
    """A thread that writes the files of trials that have ended.

    What it does not get to, because the storage is slow or refuses, or the driver dies, is written
    when a driver ends. Only one of the two writes at a time: each replaces a run by removing it
    first, so that one could remove what the other has just written.

    Args:
        director: has the history; it is only read.
        folder: the sweep's folder.
    """

    def __init__(self, director: Director, folder: Folder) -> None:
        self._director = director
        self._folder = folder / tensorboard.FOLDER
        self._columns: set[str] = set()
        self._writing = threading.Lock()
        self._closed = threading.Event()
        self._ended: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="tensorboard", daemon=True)
        self._thread.start()

    def ended(self, trial: int) -> None:
        """Tells that a trial has ended."""
        self._ended.put(trial)

    def close(self, seconds: float) -> None:
        """Ends the thread, waiting so many seconds at most; then it begins no further run."""
        self._ended.put(None)
        self._thread.join(seconds)
        self._closed.set()

    def write_all(self) -> None:
        """Writes what is missing of the whole sweep, after the run that the thread is writing.

        Raises:
            OSError: if the storage refuses.
        """
        self._closed.set()
        with self._writing:
            tensorboard.write(self._director.history, self._folder)

    def _work(self) -> None:
        while (number := self._ended.get()) is not None:
            with self._writing:
                if self._closed.is_set():
                    return
                with contextlib.suppress(Exception):  # costs no sweep; a driver's end says what is wrong
                    self._write(number)

    def _write(self, number: int) -> None:
        history = self._director.history
        trial = history.trials[number]
        tensorboard.write_run(history, trial, self._folder)
        if not set(tensorboard.hyperparameters(history, trial)) <= self._columns:
            self._columns = tensorboard.write_table(history, self._folder)
