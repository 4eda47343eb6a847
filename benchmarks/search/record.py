"""Records learning curves of a study's own families, as tables of the search benchmark.

    python -m benchmarks.search.record sweeps.lookahead:STUDY --strata 10,50 --configurations 60

Draws random configurations from the study's search space, the same number for each stratum, and
trains each to the end in this process, as `leadline train` does, on one thread. A stratum's curves
become a parquet file, to which each finished training is added at once: the command can be stopped
at any time, and goes on where it was. It loses nothing but the training under way.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from benchmarks.search.tables import drawn
from leadline.dotted import load
from leadline.engine.study import Study
from leadline.family import Family
from leadline.training.loop import Loop

__all__ = ["CURVES", "append", "record"]

CURVES = Path(__file__).parent / "curves"
"""The folder of the tables that are shipped."""


def append(path: Path, about: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> None:
    """Adds trainings to a table's file, which is made anew and put in its place.

    Args:
        path: the file.
        about: what the table is: its `mode` and `distributions` (Optuna's JSON by parameter) at
            least.
        rows: a training each: `configuration`, `seed`, the parameters, and per report the
            `values` of the objective and the `seconds` since the report before.
    """
    lists = pa.list_(pa.float32())
    made = pa.Table.from_pylist(list(rows))
    for name in ("values", "seconds"):
        made = made.set_column(made.column_names.index(name), name, made[name].cast(lists))
    if path.exists():
        made = pa.concat_tables([pq.read_table(path).replace_schema_metadata(), made])
    made = made.replace_schema_metadata({"about": json.dumps(about)})
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_suffix(".new")
    pq.write_table(made, scratch, compression="zstd")
    os.replace(scratch, path)


def _trained(family: Family[Any], fields: Mapping[str, Any], data: Any, metric: str) -> dict[str, list[float]]:
    """Trains a configuration to its end; returns the value and the seconds of each report."""
    config = family.config(fields)
    every = range(config.eval_every, config.steps + 1, config.eval_every)
    reports = list(Loop(family, config, data, metric=metric, rungs=every).run())
    spent = [0.0, *(report.seconds + report.overhead for report in reports)]
    return {
        "values": [report.value(f"validation/{metric}") for report in reports],
        "seconds": [after - before for before, after in itertools.pairwise(spent)],
    }


def record(study: Study, scale: str, strata: Sequence[Any], configurations: int, seeds: int, folder: Path) -> None:
    """Records the curves that are missing, strata in turn, the first seed of all before the second.

    Args:
        study: what is searched, and the family.
        scale: the size of the study.
        strata: the values of the study's stratum, each a table; the scale's own by default.
        configurations: the number of random configurations of each stratum.
        seeds: the number of trainings of each configuration.
        folder: where the tables lie.
    """
    torch.set_num_threads(1)
    for seed in range(seeds):
        for number in range(configurations):
            for stratum in strata or study.scales[scale].strata:
                path = folder / f"{study.name}-{stratum}.parquet"
                known = pq.read_table(path, columns=["configuration", "seed"]).to_pylist() if path.exists() else []
                if {"configuration": number, "seed": seed} not in known:
                    began = time.monotonic()
                    last = _add(path, study, scale, stratum, number, seed)
                    spent = time.monotonic() - began
                    print(f"{path.stem}: configuration {number}, seed {seed}: {last:.4g} in {spent:.0f} s", flush=True)


def _add(path: Path, study: Study, scale: str, stratum: Any, number: int, seed: int) -> float:
    """Trains one configuration and adds it to its table; returns the last value."""
    from leadline import registry

    size, family = study.scales[scale], registry.family(study.family)
    metric = family.metric(study.metric or family.objective)
    dealt = study.arms.get(str(stratum), {study.stratify: stratum} if study.stratify else {})
    trial, fields = drawn(study.space, scale, number, dealt)
    budget = {"steps": size.budget, "eval_every": size.grace, "seed": seed}
    values = {**size.fields, **study.shared(size.strata), **fields, **budget}
    curve = _trained(family, values, _data(family, values), metric.name)
    distributions = trial.distributions.items()
    about = {
        "study": study.name,
        "stratum": str(stratum),
        "scale": scale,
        "metric": metric.name,
        "mode": metric.mode,
        "distributions": {name: optuna.distributions.distribution_to_json(kind) for name, kind in distributions},
    }
    append(path, about, [{"configuration": number, "seed": seed, **trial.params, **curve}])
    return curve["values"][-1]


_DATA: dict[str, Any] = {}
"""The data by the family's name for them, since building them takes longer than some trainings."""


def _data(family: Family[Any], values: Mapping[str, Any]) -> Any:
    config = family.config(values)
    key = family.data_key(config)
    if key not in _DATA:
        _DATA[key] = family.build_data(config)
    return _DATA[key]


def main(arguments: Sequence[str] | None = None) -> None:
    """Reads the command line and records."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.search.record", description=__doc__.splitlines()[0])
    parser.add_argument("study", help="the study's dotted name, such as sweeps.lookahead:STUDY")
    parser.add_argument("--scale", default="laptop", help="the size of the study [laptop]")
    parser.add_argument("--strata", default="", help="values of the stratum, separated by commas [the scale's]")
    parser.add_argument("--configurations", type=int, default=60, help="for each stratum [60]")
    parser.add_argument("--seeds", type=int, default=1, help="trainings of each configuration [1]")
    parser.add_argument("--to", type=Path, default=CURVES, metavar="FOLDER", help="where the tables lie")
    given = parser.parse_args(arguments)
    study = load(given.study, "study")
    strata = [one for one in study.scales[given.scale].strata if str(one) in given.strata.split(",")]
    record(study, given.scale, strata, given.configurations, given.seeds, given.to)


if __name__ == "__main__":
    main()
