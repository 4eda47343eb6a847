"""Evaluates a checkpoint on this machine, and says whether it scores what its record says.

    leadline validate results/NAME/trials/0007         the newest intact checkpoint of a trial
    leadline validate s3://BUCKET/sweeps/NAME/trials/0007/attempt-01/step-000001000
    leadline validate FOLDER --device cuda --dtype bfloat16

The family's data are built anew, the weights that were scored are loaded, and the code that
training scores with scores them. Each metric is then `equal` (bit for bit), `within rounding` (no
number differs by more than 1e-5 of itself or of the metric's value, 1e-2 with bfloat16; units that
are 0 or 1 are all equal), or `changed`. It goes unit by unit where the record has the units: of the
objective on validation, and of all metrics on test. Else value, interval and n are compared.
Records from before units were kept have none on validation.

Without `--dtype`, numbers are computed as when the checkpoint was saved. `bfloat16` rounds matrix
products, by autocast. With `float64` a family that draws random numbers in the precision of its
values draws others, so that a metric which rests on them changes.

Exit code 0, 1 where a metric has changed, 2 for bad input. Descriptive metrics, such as an exponent
of a model's dynamics, are shown and do not decide it.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING

from leadline.command_line import Command, count, device
from leadline.plain import plural

if TYPE_CHECKING:
    from rich.table import Table

    from leadline.analysis.validation import Comparison

__all__ = ["VALIDATE"]

CHANGED = 1
"""The exit code where a metric that says how good a model is has changed."""
SHOWN = 10
"""The number of units that are named for a metric."""


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="folder or URI of a checkpoint, or of a trial")
    parser.add_argument("--device", default="cpu", metavar="NAME", help="where to evaluate, such as cuda [cpu]")
    parser.add_argument(
        "--dtype", choices=("float32", "bfloat16", "float64"), help="the precision [that of the training]"
    )
    parser.add_argument(
        "--split", choices=("validation", "test"), default="validation", help="what is scored [validation]"
    )
    parser.add_argument(
        "--family", default="", metavar="NAME", help="the checkpoint's, as package.module:FAMILY [by its name]"
    )
    parser.add_argument("--threads", type=count, default=1, metavar="N", help="threads, as a trial has one [1]")


def _validate(given: argparse.Namespace) -> int:
    import torch

    from leadline.analysis import terminal, validation
    from leadline.analysis.sweep import place
    from leadline.errors import calling

    subject = validation.opened(place(given.checkpoint), given.family)
    recorded = subject.recorded(given.split)
    where = device(given.device)
    torch.set_num_threads(given.threads)
    with calling("build_data"):
        data = subject.family.build_data(subject.config)
    found = validation.measured(subject, data, given.split, where, given.dtype)
    dtype = given.dtype or subject.precision
    tolerance = validation.TOLERANCE[dtype]
    compared = [validation.compared(name, one, found.get(name), tolerance) for name, one in recorded.items()]
    name = f"{subject.place / subject.checkpoint.name}"
    print(
        f"{name}: {subject.family.name}, {given.split}, here on {given.device} in {dtype}, saved in {subject.precision}"
    )
    terminal.console().print(_table(compared))
    for line in _lines(compared, tolerance, dtype):
        print(line)
    scores = {metric.name for metric in subject.family.metrics if metric.role != "descriptive"}
    return CHANGED if any(one.verdict == "changed" and one.name in scores for one in compared) else 0


def _table(compared: list[Comparison]) -> Table:
    from rich.table import Table

    table = Table()
    for heading in ("metric", "recorded", "here", "difference", "n", "compared", "verdict"):
        table.add_column(heading, justify="left" if heading in ("metric", "compared", "verdict") else "right")
    for one in compared:
        then, now = one.recorded, one.measured
        by = plural(len(then.units), "unit") if then.units else "value, interval, n"
        here = ("-", "-") if now is None else (f"{now.value:.6g}", f"{now.value - then.value:.2g}")
        table.add_row(one.name, f"{then.value:.6g}", *here, str(then.n), by, one.verdict)
    return table


def _lines(compared: list[Comparison], tolerance: float, dtype: str) -> Iterator[str]:
    """What stands below the table: why a metric has changed, and what rounding means."""
    changed = [one for one in compared if one.verdict == "changed"]
    yield from (f"{one.name}: {why}" for one in changed if (why := _why(one)))
    if unknown := [one.name for one in changed if not _why(one)]:
        yield f"changed, without units in the record to say where: {', '.join(unknown)}"
    if any(one.verdict != "equal" for one in compared):
        allowed = f"up to {tolerance:g} of a number or of the metric's value, for {dtype}"
        yield f"rounding: {allowed}; none for units that are 0 or 1"


def _why(one: Comparison) -> str:
    """What has changed, in words; empty where the record has only value and interval to compare."""
    then, now = one.recorded, one.measured
    if now is None:
        return "the family does not measure it any more"
    if now.n != then.n:
        return f"n was {then.n} and is {now.n}"
    if len(now.units) != len(then.units):
        recorded = plural(len(then.units), "unit is", "units are")
        return f"{recorded} recorded, and {plural(len(now.units), 'was', 'were')} measured"
    if not then.units:
        return ""
    if not one.units:
        return "value or interval differ, and no unit"
    named = ", ".join(f"{at} ({then.units[at]:.6g}, here {now.units[at]:.6g})" for at in one.units[:SHOWN])
    more = f", and {len(one.units) - SHOWN} more" if len(one.units) > SHOWN else ""
    return f"{len(one.units)} of {plural(len(then.units), 'unit differs', 'units differ')}: {named}{more}"


VALIDATE = Command("whether a checkpoint scores here what its record says", _arguments, _validate, __doc__ or "")
