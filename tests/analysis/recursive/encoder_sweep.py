"""Made-up sweeps of the study `encoder`: nothing is trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from leadline import Sweep
from leadline.engine import options
from leadline.ledger.history import Baseline, History, Trial
from leadline.ledger.settings import Settings
from leadline.measure import PART, Measure, Report
from leadline.statistics import mean_over_units
from leadline.storage import Folder
from sweeps.encoder import STUDY

BOARDS = 120
LIMIT = 4
Told = Sequence[tuple[float, float]]
"""The share of right boards and Q-halt's accuracy, report by report."""


def share(value: float, boards: int = BOARDS) -> Measure:
    """The first boards are right, so many as make the share."""
    return mean_over_units((np.arange(boards) < round(value * boards)).astype(np.float64), (0.0, 1.0))


def made(
    arms: Mapping[str, Mapping[str, Any]],
    trivial: Mapping[str, float] | None = None,
    replicates: int = 5,
    family: str = "etrm",
) -> Sweep:
    """A sweep with a confirmed finalist in each arm.

    Args:
        arms: of each, `told` for all its trials; `test`, metrics by name, whose unit's number grows
            by 0.01 with each replicate; `coverage` and `rows`, facts; `steps`, its segments.
        trivial: metrics of the one trivial predictor, the same in all arms.
        replicates: of each finalist.
        family: whose sweep it is.
    """
    settings = options.settings(STUDY, options.parse(STUDY, [f"arm={','.join(arms)}"], ""))
    plain = settings.to_dict()
    history = History(Settings.from_dict({**plain, "family": family, "least_units": 100}))
    for arm, fields in arms.items():
        first = len(history.trials)
        for number in range(first, first + replicates + 1):
            history.trials[number] = _trial(number, arm, None if number == first else first, fields)
        scored = {f"test/{name}": share(value) for name, value in (trivial or {}).items()}
        history.baselines.append(Baseline("copy", arm, scored))
    return Sweep("made", Folder.at("/nowhere"), history)


def _trial(number: int, arm: str, of: int | None, fields: Mapping[str, Any]) -> Trial:
    kind: Literal["search", "replicate"] = "search" if of is None else "replicate"
    config = {"seed": number, "batch": 32, "halt_max_steps": LIMIT, "steps": 256}
    trial = Trial(number, arm, kind, of, {}, config, "finished")
    told: Told = fields.get("told", ((0.5, 0.9),))
    facts = {f"encoder/{name}": float(fields[name]) for name in ("coverage", "rows") if name in fields}
    for at, (exact, q) in enumerate(told, 1):
        halts = mean_over_units(np.full(BOARDS, fields.get("steps", 2.0)))
        found = {"exact": share(exact), "q_accuracy": share(q), "halt_steps": halts}
        split = "validation" if at == len(told) else PART
        metrics = {f"{split}/{name}": measure for name, measure in found.items()}
        if at == len(told) and of is not None:
            metrics |= {f"test/{name}": share(value + 0.01 * (number % 2)) for name, value in fields["test"].items()}
            metrics["test/halt_steps"] = found["halt_steps"]
        step = 256 * at // len(told)
        trial.reports.append(Report(step, 32 * step * fields.get("segments", 1), 1.0, 0.1, metrics, facts))
    return trial
