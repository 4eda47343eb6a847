"""The columns of a sweep's tables, and what each holds.

`leadline.analysis.frame` makes the tables. This module is apart from it, so that the help of a
sweep can list them without pandas.
"""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable, Mapping
from typing import TypeVar

__all__ = ["BASELINES", "COLUMNS", "FINDINGS", "FIRST", "REPORTS", "listed"]

_Function = TypeVar("_Function", bound=Callable[..., object])

COLUMNS = {
    "trial": "number of the trial",
    "stratum": "value of the stratifying field, as text",
    "status": "waiting, running, finished, stopped or failed",
    "value": "objective on validation at the last report; NaN where there is none",
    "kind": "search, or replicate for a confirmation run",
    "of": "for a replicate, the trial that it confirms",
    "n": "independent units behind `value`",
    "low": "lower end of its 95 % interval",
    "high": "upper end of its 95 % interval",
    "test": "objective on the test split; NaN but for finished replicates",
    "step": "optimizer steps at the last report",
    "samples": "training samples at the last report",
    "spent": (
        "how much of the budget was spent at the last report, in the sweep's unit: "
        "`step`, or `samples` where the budget counts these"
    ),
    "unit": "that unit: steps or samples",
    "seconds": "seconds of training alone, over all attempts",
    "wall": "seconds that the trial held its place, over all attempts",
    "attempts": "times that it was started",
    "failures": "attempts that ended in an error or were lost",
    "reason": "why it stands where it stands",
    "marks": "what must be known before believing the value, separated by '; '",
    "checkpoint": "checkpoint of the last report, relative to the trial's folder; missing where none is kept",
}
"""The columns of `Sweep.table` that every sweep has, and their meaning.

After the first four, which are `FIRST`, stand those that were searched, and at the end the other
fields.
"""

FIRST = ("trial", "stratum", "status", "value")
"""The columns before those that were searched."""

REPORTS = {
    "trial": "number of the trial",
    "stratum": "value of the stratifying field, as text",
    "step": "optimizer steps of the whole trial at this report",
    "samples": "training samples of the whole trial at this report",
    "spent": "how much of the budget that is, in the sweep's unit: `step`, or `samples` where the budget counts these",
    "seconds": "seconds of training alone, over all attempts",
    "metric": (
        "`split/metric` of the family, or `fact/<name>` for what training itself says: "
        "losses, learning rate, guards' share"
    ),
    "value": "the value; NaN where it was not finite",
    "n": "independent units behind it; 0 for facts",
    "low": "lower end of its 95 % interval; of a fact, NaN",
    "high": "upper end of its 95 % interval; of a fact, NaN",
}
"""The columns of `Sweep.reports` and their meaning; it has a row for each metric of each report."""

FINDINGS = {
    "trial": "number of the trial that a guard spoke about; missing for an audit, which is of the sweep",
    "stratum": "value of the stratifying field, as text",
    "guard": "name of the guard or audit",
    "subject": "what it is about where a guard looks at several things; else empty",
    "step": "optimizer steps at the report that carried it; missing for an audit",
    "failed": "whether it is a fault",
    "number": "what was measured; NaN where it was not finite",
    "sentence": "what it means",
}
"""The columns of `frame.findings` and their meaning.

It has every finding of every guard, in the order in which they were made.
"""

BASELINES = {
    "name": "the trivial predictor",
    "stratum": "value of the stratifying field, as text",
    "oracle": "whether it knows the answer and is therefore not compared",
    "metric": "`split/metric`",
    "value": "its value there",
    "n": "independent units behind it",
    "low": "lower end of its 95 % interval",
    "high": "upper end of its 95 % interval",
}
"""The columns of `frame.baselines` and their meaning; it has a row per metric and predictor."""


def listed(columns: Mapping[str, str]) -> Callable[[_Function], _Function]:
    """Returns a decorator that ends a docstring with a line for each column, for `help`."""
    width = max(map(len, columns)) + 2
    lines = [
        textwrap.fill(f"{name:<{width}}{meaning}", 96, initial_indent=" " * 4, subsequent_indent=" " * (4 + width))
        for name, meaning in columns.items()
    ]

    def with_columns(method: _Function) -> _Function:
        method.__doc__ = "\n".join([inspect.getdoc(method) or "", "", "Columns:", *lines])
        return method

    return with_columns
