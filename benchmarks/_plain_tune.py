"""The same trials as `benchmarks._sleep_sweep` in plain Ray Tune, written as in its documentation.

    python -m benchmarks._plain_tune FOLDER

A function is trained, Tune's settings are its own, results go below FOLDER. Only Ray's start is as
in a sweep: on loopback, for two CPUs, without dashboard, in a folder of its own. The last line
printed has the time of day at which the first trial could be placed, and that at which the last had
ended.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from typing import Any

os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "disabled"}

import ray
from ray import tune


def train(config: dict[str, Any]) -> None:
    """Trains one trial: four reports in one second."""
    import torch  # noqa: F401  (what any training would import)

    for _ in range(4):
        time.sleep(0.25)
        tune.report({"loss": 1.0})


def main(folder: str) -> None:
    """Runs 16 trials, 2 at a time."""
    scratch = tempfile.mkdtemp(prefix="ll-")
    ray.init(address="local", num_cpus=2, include_dashboard=False, _node_ip_address="127.0.0.1", _temp_dir=scratch)
    try:
        tuner = tune.Tuner(
            train,
            param_space={"x": tune.uniform(0.0, 1.0)},
            tune_config=tune.TuneConfig(metric="loss", mode="min", num_samples=16, max_concurrent_trials=2),
            run_config=tune.RunConfig(storage_path=folder, name="plain"),
        )
        placed = time.time()
        results = tuner.fit()
        ended = time.time()
    finally:
        ray.shutdown()
        shutil.rmtree(scratch, ignore_errors=True)
    reports = [(results[index].metrics or {}).get("training_iteration") for index in range(len(results))]
    print("finished", reports.count(4), placed, ended)


if __name__ == "__main__":
    main(sys.argv[1])
