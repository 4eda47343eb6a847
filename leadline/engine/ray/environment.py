"""The environment variables that Ray reads when it is imported, and the end of Ray.

Importing this module does not import Ray.
"""

from __future__ import annotations

import importlib.util
import os
import secrets
import sys

from leadline.config import ConfigError

__all__ = ["QUIET", "announce", "check", "prepare", "stop"]

NEEDED = ("ray", "fsspec", "pandas", "pyarrow", "requests", "tensorboardX")
"""The modules that a driver imports late, and those that they need."""

QUIET = {
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
    "RAY_TRAIN_ENABLE_PRINT_PATCH": "0",
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": str(10**9),
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "TUNE_WARN_THRESHOLD_S": "1000000",
}
"""Environment variables that keep Ray quiet, in this process and in those of a job.

Ray Train's preemption watcher is off, because the engine itself moves trials off nodes that go
away; and it leaves `print` alone, whose lines the trial's log takes.
"""


def announce() -> bool:
    """Sets the variables that Ray reads when it is imported, by which it is quiet and takes tokens.

    It has no signal handlers, snapshots and loggers of its own then. Variables that the user has
    set are kept. A family may import Ray, so this comes before anything of a user's is loaded.

    Returns:
        whether Ray was imported before, so that it does not know them in this process.
    """
    late = "ray" in sys.modules and "RAY_AUTH_MODE" not in os.environ
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    os.environ.setdefault("RAY_AUTH_MODE", "token")
    return late


def prepare(cluster: bool = False) -> None:
    """Sets the whole environment that Ray is to find when it is started or joined.

    A Ray of this machine takes a token that only this process tree knows. The token is not written
    to the disk, where `ray start` of another cluster would find it.

    Args:
        cluster: whether a running cluster is joined or asked. Its token is where Ray looks for it,
            by default in ~/.ray/auth_token.
    """
    announce()
    if not cluster and os.environ["RAY_AUTH_MODE"] == "token" and "RAY_AUTH_TOKEN_PATH" not in os.environ:
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))


def check() -> None:
    """Refuses what would keep any driver of this process from using Ray.

    Raises:
        ConfigError: if a module is missing, or this process has started a Ray or joined one.
    """
    if missing := [name for name in NEEDED if not importlib.util.find_spec(name)]:
        raise ConfigError(f"{missing[0]}: is not installed in {sys.prefix}; pip install 'ray[default,train,tune]'")
    if "ray" in sys.modules:
        import ray

        if ray.is_initialized():
            raise ConfigError(
                "ray: ray.init() was called before main(); leave it out, since main() starts a Ray of its own, "
                "or joins a cluster that --address names"
            )


def stop() -> None:
    """Stops the Ray that this process has started, or leaves the cluster that it has joined.

    It does nothing where Ray was never imported.
    """
    if "ray" in sys.modules:
        import ray

        ray.shutdown()
