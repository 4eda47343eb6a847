"""This machine alone, on which a driver starts a Ray of its own."""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import Mapping

import psutil
import ray

from leadline.engine.ray.private import on_loopback
from leadline.engine.ray.room import Request

__all__ = ["Machine", "dead"]


class Machine:
    """This machine alone, with a Ray for one driver, on loopback and without dashboard.

    Args:
        request: what a trial asks for.
        trials: the number of trials at a time.
        temporary: the folder for Ray's files, with a short path.
        spill: the folder for objects that do not fit into memory.

    Raises:
        RuntimeError: if Ray cannot start.
    """

    def __init__(self, request: Request, trials: int, temporary: str, spill: str) -> None:
        cpus = trials * request.workers * request.cpus
        gpus = trials * request.workers * request.gpus
        ray.init(
            address="local",
            num_cpus=max(1, math.ceil(cpus)),
            num_gpus=math.ceil(gpus),
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
            configure_logging=True,
            **on_loopback(temporary, spill),
        )
        self.title = "on this machine alone"
        started: dict[str, psutil.Process] = {}
        for process in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                started[process.name()] = process
        self.processes = {name: started[name] for name in ("gcs_server", "raylet")}
        self._trials = trials
        self._request = request

    def slots(self) -> int:
        """The number of trials that were asked for."""
        return self._trials

    def workers(self) -> int:
        """The number of workers of all trials that were asked for."""
        return self._trials * self._request.workers

    def placed_on(self) -> dict[str, str]:
        """An empty selector, as there is no choice of nodes."""
        return {}

    def leaving(self) -> set[str]:
        """No nodes, as this machine stays."""
        return set()

    def look(self) -> None:
        """Does nothing, as there are no nodes to look for."""

    def news(self) -> list[str]:
        """No news, as nothing happens to this machine."""
        return []

    def close(self) -> None:
        """Does nothing, as the driver stops Ray."""


def dead(processes: Mapping[str, psutil.Process]) -> str:
    """The name of the first process that has ended; empty while all run."""
    for name, process in processes.items():
        try:
            if process.status() == psutil.STATUS_ZOMBIE:
                return name
        except psutil.NoSuchProcess:
            return name
    return ""
