"""The failures of a network as tables for a terminal."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from leadline.ledger.leaderboard import is_oracle
from leadline.ledger.leaderboard_table import number
from leadline.measure import Measure

if TYPE_CHECKING:
    from analysis.scan.failures import Bin, Failures, Wrong

__all__ = ["failures_page"]

WORDS = ("bin", "predictor", "wanted", "said")
SHOWN = ("exact", "tokens", "held_out")
"""The metrics that are shown of trivial predictors."""


def _table(*columns: str) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for column in columns:
        table.add_column(column, justify="left" if column in WORDS else "right", overflow="fold")
    return table


def _span(measure: Measure) -> str:
    return f"{number(measure.low)}..{number(measure.high)}"


def _bins(bins: list[Bin]) -> Table:
    table = _table("bin", "commands", "rows", "wrong", "exact", "95 %", "nearest")
    for line, after in zip(bins, [*bins[1:], None], strict=True):
        counts = map(str, (line.commands, line.rows, line.wrong))
        means = (number(line.exact.value), _span(line.exact), number(line.nearest.value))
        table.add_row(line.label, *counts, *means, end_section=after is None or after.by != line.by)
    return table


def _predictors(predictors: dict[str, dict[str, Measure]]) -> Table:
    table = _table("predictor", *SHOWN)
    for name, metrics in predictors.items():
        cells = (number(metrics[metric].value) if metric in metrics else "" for metric in SHOWN)
        table.add_row(name, *cells, style="dim" if is_oracle(name) else "")
    return table


def _example(wrong: Wrong) -> Iterable[str]:
    """Yields the lines of an example: long answers are left to the terminal to wrap."""
    yield f"{wrong.score}, {wrong.rule}: {wrong.command}"
    yield f"  expected {wrong.expected or '(nothing)'}"
    yield f"  said     {wrong.said or '(nothing)'}"
    yield f"  first wrong token: {wrong.position}, {wrong.said_token} for {wrong.wanted_token}\n"


def failures_page(found: Failures) -> RenderableType:
    """Draws the bins, the first wrong tokens, examples, and the trivial predictors."""
    title = (
        f"{found.trial}: exact match on the test split of {found.split}, mean over commands; "
        "nearest: the answer to the nearest training command"
    )
    note = (
        "A row under two rules stands in the bins of both, and a command in those of all its primitives.\n"
        "Rules are scored where they change the answer. 12 to 22: the actions of the right answer.\n"
    )
    confusions = _table("wanted", "said", "answers")
    for one in found.confusions:
        confusions.add_row(one.wanted, one.said, str(one.answers))
    wrong: list[RenderableType] = [Text("\n".join(_example(one))) for one in found.examples]
    first: list[RenderableType] = (
        [Text("The first wrong token, the commonest first"), confusions] if found.confusions else []
    )
    examples: list[RenderableType] = (
        [Text("Wrong answers, of each score those with the shortest right ones\n"), *wrong] if wrong else []
    )
    predictors: list[RenderableType] = [Text("Trivial predictors on the test split"), _predictors(found.predictors)]
    return Group(Text(title), _bins(found.bins), Text(note), *first, *examples, *predictors)
