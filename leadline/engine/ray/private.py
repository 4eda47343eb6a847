"""Ray: a process that Ray's memory monitor ends is one attempt that failed, not the end of the sweep."""

from __future__ import annotations

from typing import Any

from ray.air.execution._internal.actor_manager import RayActorManager
from ray.exceptions import OutOfMemoryError, RayActorError

from leadline.engine.failure_causes import killed

__all__ = ["count_as_failures"]


def count_as_failures() -> None:
    """Lets Tune take `OutOfMemoryError` for the end of one process.

    Ray 2.60 raises it for a call to a process that its monitor has ended. It is neither of the two exceptions that Tune's
    `RayActorManager._actor_task_failed` knows, so that `fit` would raise and take all other trials along.
    """
    taken = RayActorManager._actor_task_failed
    if getattr(taken, "counts_kills", False):
        return

    def failed(self: Any, tracked_actor_task: Any, exception: Exception) -> None:
        if isinstance(exception, OutOfMemoryError):
            process, _ = self._live_actors_to_ray_actors_resources[tracked_actor_task._tracked_actor]
            actor = process._actor_id.hex()
            exception = RayActorError(actor, killed(str(exception), actor))
        taken(self, tracked_actor_task, exception)

    failed.counts_kills = True  # type: ignore[attr-defined]
    RayActorManager._actor_task_failed = failed  # type: ignore[method-assign]
