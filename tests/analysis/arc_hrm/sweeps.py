"""Hand-made sweeps of the study `plateau`."""

from __future__ import annotations

import dataclasses
from typing import Literal

from leadline import Sweep
from leadline.ledger.history import Baseline, History, Trial
from leadline.measure import Measure, Report
from leadline.storage import Folder
from tests.leadline.analysis import conftest

SETTINGS = dataclasses.replace(
    conftest.SETTINGS,
    family="arc_hrm",
    study="plateau",
    stratify="arm",
    metric="exact",
    mode="max",
    beside=("cells", "cells_without_pad"),
    confirm=1,
)
UNITS = 120
WIDTHS = {"wider": 96, "27m": 560}


def share(value: float) -> Measure:
    """A share of units that are right or wrong, spread evenly."""
    units = tuple(float((unit * 37) % UNITS < value * UNITS) for unit in range(UNITS))
    return Measure(sum(units) / UNITS, UNITS, value - 0.01, value + 0.01, units)


def made(arms: dict[str, float], *, padding: float | None = 0.693, replicates: int = 5, width: int = 48) -> Sweep:
    """A sweep whose arms have such shares of grids right, and whose constant such a share of cells.

    Networks have a width of `width`, but in the arms that are named after another.
    """
    history = History(dataclasses.replace(SETTINGS, strata=tuple(arms), replicates=5))
    for arm, exact in arms.items():
        first = len(history.trials)
        pad = "ignored" if arm in ("pad ignored", "demonstrations") else "class"
        for number in range(first, first + replicates + 1):
            of = None if number == first else first
            splits = ("validation",) if of is None else ("validation", "test")
            kind: Literal["search", "replicate"] = "search" if of is None else "replicate"
            config = {"seed": number, "pad": pad, "hidden": WIDTHS.get(arm, width)}
            trial = Trial(number, arm, kind, of, {}, config, "finished")
            measures = {"exact": share(exact), "cells_without_pad": share(0.75)}
            if pad == "class":
                measures["cells"] = share(0.9)
            metrics = {f"{split}/{name}": value for split in splits for name, value in measures.items()}
            trial.reports.append(Report(90, 90, 1.0, 0.0, metrics))
            history.trials[number] = trial
    if padding is not None:
        constant = {"exact": Measure.exact(0, UNITS), "cells": share(padding), "cells_without_pad": share(0)}
        copied = {"exact": Measure.exact(0, UNITS), "cells": share(0.9), "cells_without_pad": share(0.6)}
        for name, measures in (("all PAD", constant), ("the input", copied)):
            metrics = {f"test/{metric}": value for metric, value in measures.items()}
            history.baselines.append(Baseline(name, next(iter(arms), "session 5"), metrics))
    return Sweep("made", Folder.at("/nowhere"), history)
