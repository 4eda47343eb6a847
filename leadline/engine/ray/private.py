"""Every private name of Ray that Leadline uses, and what it is needed for.

All of them were read in Ray 2.60.0. Another version may lack any of them, which is why
pyproject.toml bounds Ray: to raise the bound, read this file beside the new version. Ray is
imported inside the functions, because it reads its environment when it is imported
(`leadline.engine.ray.environment`), and because the constants are of use without it.

One private thing is relied on without being named: `_ObjectCache(may_keep_one=True)` of
`ray.tune.utils.object_cache`. By it Tune keeps a single one of the processes that end together for
the next attempt (`Placement.recorded_ends`).
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from leadline.engine.failure_causes import killed

__all__ = [
    "BOOTSTRAP_CONFIG",
    "CURRENT_CLUSTER",
    "SOCKET",
    "SOCKET_PATH_BYTES",
    "count_kills_as_failures",
    "dashboard_address",
    "draining_nodes",
    "exits_by_ray",
    "job_records",
    "logs_folder",
    "on_loopback",
    "submission",
    "unstage",
]

CURRENT_CLUSTER = "ray_current_cluster"
"""The file in Ray's temporary folder in which `ray start` leaves the address of its cluster.

Ray 2.60: `ray._private.utils`.
"""

BOOTSTRAP_CONFIG = "ray_bootstrap_config.yaml"
"""The file in the head's home folder in which `ray up` leaves its configuration.

Ray 2.60: `ray.autoscaler._private.commands`.
"""

SOCKET = "/session_2026-01-31_12-00-00_123456_4194304/sockets/plasma_store"
"""The longest path of a socket below Ray's temporary folder: date, time and process id vary.

Ray 2.60: `_session_name` and `_sockets_dir` of `ray._private.node.Node`.
"""

SOCKET_PATH_BYTES = 103 if sys.platform == "darwin" else 107
"""How long the path of a Unix socket may be.

Ray 2.60: `validate_socket_filepath` of `ray._private.utils`.
"""

_JOB_CONFIG = "RAY_JOB_CONFIG_JSON_ENV_VAR"
"""The environment variable in which a submitted job finds its configuration as JSON.

Ray 2.60: `ray._private.ray_constants`.
"""


def exits_by_ray(error: BaseException) -> bool:
    """Whether a `SystemExit` is Ray's own, by which it ends a process, and not a user's.

    Ray 2.60, `ray._raylet`: `raise_sys_exit_with_custom_error_message`, which the handler of
    SIGTERM calls, sets `ray_terminate_msg`.
    """
    return hasattr(error, "ray_terminate_msg")


def on_loopback(temporary: str, spill: str) -> dict[str, Any]:
    """The arguments of `ray.init` for a Ray on loopback alone, with its files in a folder.

    Ray 2.60: these are parameters of `ray.init` that may change; `object_spilling_directory` is by
    default in `_temp_dir`.

    Args:
        temporary: the folder for Ray's sockets, logs and other files.
        spill: the folder for objects that do not fit into memory.
    """
    return {"_node_ip_address": "127.0.0.1", "_temp_dir": temporary, "object_spilling_directory": spill}


def draining_nodes() -> dict[str, float]:
    """The nodes that are announced to go away: id -> when, in seconds since the epoch.

    The time is 0 where it is not known.

    Ray 2.60: `ray._private.state.state.get_draining_nodes()` asks the head; its deadlines are in
    milliseconds. No public function gives them.
    """
    from ray._private.state import state

    return {id_: milliseconds / 1000 for id_, milliseconds in state.get_draining_nodes().items()}


def _worker() -> Any:
    """Ray's own state in this process, which has no types.

    Ray 2.60: `ray._private.worker`.
    """
    import ray

    return ray._private.worker


def dashboard_address() -> str:
    """HOST:PORT of the dashboard, as seen where it runs; empty where there is none.

    Ray 2.60: `_global_node.webui_url`.
    """
    return str(_worker()._global_node.webui_url or "")


def logs_folder() -> Path:
    """The folder of this node's logs, which the dashboard shows.

    Ray 2.60: `_global_node.get_logs_dir_path()`.
    """
    return Path(_worker()._global_node.get_logs_dir_path())


def submission() -> str:
    """The submission id of the Ray job that this process is the driver of; empty if none.

    Ray 2.60: `metadata.job_submission_id` in the job's configuration.
    """
    config = json.loads(os.environ.get(_JOB_CONFIG, "{}"))
    return str((config.get("metadata") or {}).get("job_submission_id", ""))


def job_records() -> Any:
    """Ray's records of submitted jobs, to read and to write.

    Ray 2.60: `ray.dashboard.modules.job.common.JobInfoStorageClient` over
    `global_worker.gcs_client`. Its coroutines are `get_info(job, timeout=)` and `put_info(job,
    info, timeout=)`, whose `info` is a dataclass with `message` and `metadata`.
    """
    from ray.dashboard.modules.job.common import JobInfoStorageClient

    return JobInfoStorageClient(_worker().global_worker.gcs_client)


def unstage(controller: Any, trial: Any) -> None:
    """Makes Tune forget that a trial waits for its resources, before the trial is stopped.

    Ray 2.60, `ray.tune.execution.tune_controller.TuneController`: `_staged_trials` holds the trials
    for which resources were asked for, and `_unstage_trial_with_resources` takes one out and lowers
    the number of processes that may be kept for others. `stop_trial` does neither: it would keep a
    place for the trial, and no process for others any more.
    """
    if trial in controller._staged_trials:
        controller._unstage_trial_with_resources(trial)


def count_kills_as_failures() -> None:
    """Makes Tune treat a process that Ray's memory monitor has ended as the failure of one attempt.

    Ray 2.60 raises `OutOfMemoryError` for a call to such a process. It is neither of the two
    exceptions that `ray.air.execution._internal.actor_manager.RayActorManager._actor_task_failed`
    knows, so `fit` would raise it and end all other trials. `_live_actors_to_ray_actors_resources`
    maps what a task names as `_tracked_actor` to the process, whose `_actor_id` is the identity
    that the monitor's message names.
    """
    from ray.air.execution._internal.actor_manager import RayActorManager
    from ray.exceptions import OutOfMemoryError, RayActorError

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
