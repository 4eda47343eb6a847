"""Answers as tables for a terminal, which show fewer columns where it is narrow, and as plain JSON values."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from sweeps.ledger.leaderboard import is_oracle
from sweeps.ledger.table import number
from trainables.measure import Measure

if TYPE_CHECKING:
    from analysis.collatz.ablation import Ablation, Effect
    from analysis.collatz.attribution import Attribution, Position
    from analysis.collatz.failures import Bin, Failures
    from analysis.collatz.lookahead import Curve, Point

__all__ = ["ablation_page", "attribution_page", "curve_page", "failures_page", "plain"]

BANDS = (1, 2, 3, 4, 5, 6, 11, 21, 51, 101, 201)
"""First positions of the bands in which the window is shown."""


class Column(NamedTuple):
    """A heading, and the terminal's width from which the column is shown."""

    heading: str
    least: int = 0
    left: bool = False


def plain(value: Any) -> Any:
    """Plain JSON values of dataclasses, tuples and measures; non-finite numbers as None."""
    if isinstance(value, Measure):
        return value.to_dict()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return {name: plain(entry) for name, entry in value._asdict().items()}
    if isinstance(value, dict):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _table(title: str, width: int, columns: Sequence[Column], rows: Iterable[tuple[Sequence[str], str]]) -> Table:
    """Rows are cells, one for each column, and a style; `line` ends a section."""
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    shown = [i for i, column in enumerate(columns) if width >= column.least]
    for i in shown:
        table.add_column(columns[i].heading, justify="left" if columns[i].left else "right", no_wrap=columns[i].left, overflow="fold")
    for cells, style in rows:
        table.add_row(*(Text(cells[i]) for i in shown), style=style.removesuffix("line"), end_section=style.endswith("line"))
    return table


def _span(measure: Measure | None) -> str:
    return "" if measure is None else f"{number(measure.low)} .. {number(measure.high)}"


def _value(measure: Measure | None) -> str:
    return "" if measure is None else number(measure.value)


def _predictors(title: str, width: int, predictors: dict[str, dict[str, Measure]]) -> Table:
    """Hinge and violations of every trivial predictor."""
    columns = [Column("predictor", left=True), Column("hinge"), Column("95 %"), Column("violations", 90), Column("95 %", 90), Column("n")]
    rows = []
    for name, metrics in predictors.items():
        hinge, violations = metrics["hinge"], metrics["violations"]
        cells = [name, _value(hinge), _span(hinge), _value(violations), _span(violations), str(hinge.n)]
        rows.append((cells, "dim" if is_oracle(name) else ""))
    return _table(title, width, columns, rows)


def failures_page(found: Failures, width: int) -> RenderableType:
    """Three tables of bins, and the trivial predictors."""
    shares = (
        Column("network"),
        Column("95 %"),
        Column("sum"),
        Column("95 %", 180),
    )
    counts = (Column("network", 130), Column("sum", 130), Column("both", 110), Column("network only", 110), Column("sum only", 110))
    heads = (Column("bin", left=True), Column("orbits"), Column("steps"))
    test = []
    for line, end in _sections(found.test):
        means = [show(share) for share in (line.share, line.formula_share) for show in (_value, _span)]
        test.append(([*_place(line), *means, *_overlap(line)], end))
    tables = [
        _table(
            f"{found.trial}, lookahead {found.lookahead}: share of the test split's private steps violated, then counts; "
            "sum: the zero-parameter sum",
            width,
            [*heads, *shares, *counts],
            test,
        )
    ]
    for name, bins in (
        ("private steps", found.logged_unleaked),
        ("leaked steps (small numbers, and numbers on several orbits)", found.logged_leaked),
    ):
        rows = [([*_place(line), *_overlap(line)], end) for line, end in _sections(bins)]
        columns = [*heads, *(column._replace(least=0) for column in counts)]
        tables.append(_table(f"violations on the five logged seeds, {name}: counts", width, columns, rows))
    note = f"fifth: of the whole orbit's steps. remaining <= {found.lookahead}: the input contains the answer."
    return Group(*tables, Text(note), _predictors("trivial predictors on the test split", width, found.predictors))


def _sections(bins: list[Bin]) -> list[tuple[Bin, str]]:
    """Each bin, and whether its dimension ends there."""
    following = [line.by for line in bins[1:]] + [""]
    return [(line, "" if line.by == after else "line") for line, after in zip(bins, following, strict=True)]


def _place(line: Bin) -> list[str]:
    return [line.label, str(line.orbits), str(line.steps)]


def _overlap(line: Bin) -> list[str]:
    return list(map(str, (line.network, line.formula, line.both, line.network - line.both, line.formula - line.both)))


def ablation_page(found: Ablation, width: int) -> RenderableType:
    """The effects, with what they are compared with above them."""
    columns = [
        Column("inputs", left=True),
        Column("way", left=True),
        Column("hinge"),
        Column("difference"),
        Column("95 %"),
        Column("over permutations", 170),
        Column("violations", 100),
        Column("difference", 110),
        Column("95 %", 130),
    ]
    rows: list[tuple[list[str], str]] = [
        (["all", "as trained", _value(found.intact["hinge"]), "", "", "", _value(found.intact["violations"]), "", ""], ""),
        (["all", "retrained", _value(found.control["hinge"]), "", "", "", _value(found.control["violations"]), "", ""], "line"),
    ]
    rows += [(_effect_cells(effect), "line" if effect.way == "retrained" else "") for effect in found.effects]
    title = f"{found.trial}: without inputs, on validation; differences paired over {found.intact['hinge'].n} orbits"
    note = (
        "masked: at the training mean; permuted: mean over seeded permutations between nodes; both against the network as trained. "
        f"retrained: without the inputs for {found.steps} steps, against the same configuration retrained with all."
    )
    return Group(_table(title, width, columns, rows), Text(note), _predictors("trivial predictors on validation", width, found.predictors))


def _effect_cells(effect: Effect) -> list[str]:
    spread = f"{number(effect.spread[0])} .. {number(effect.spread[1])}" if effect.spread else ""
    hinge, violations = (effect.differences[name] for name in ("hinge", "violations"))
    first = [effect.group, effect.way, _value(effect.values["hinge"]), _value(hinge), _span(hinge), spread]
    return [*first, _value(effect.values["violations"]), _value(violations), _span(violations)]


def attribution_page(found: Attribution, width: int) -> RenderableType:
    """The window in bands, then shares."""
    columns = [
        Column("position"),
        Column("dV/dk"),
        Column("95 %"),
        Column("scaled"),
        Column("with drift", 105),
        Column("formula"),
        Column("|grad x input|", 90),
        Column("95 %", 140),
        Column("scaled formula", 120),
    ]
    rows = []
    for first, after in itertools.pairwise(BANDS):
        if band := found.positions[first - 1 : after - 1]:
            rows.append((_band(band, found.slope), ""))
    title = f"{found.trial}: gradients over {found.nodes} validation nodes of {found.orbits} orbits; bands are means of their positions"
    shares = [
        Column("share of |gradient x input|", left=True),
        Column("network"),
        Column("95 %", 80),
        Column("formula"),
        Column("95 %", 100),
        Column("n"),
    ]
    lines = [
        ([share.of, _value(share.network), _span(share.network), _value(share.formula), _span(share.formula), str(share.network.n)], "")
        for share in (*found.groups, *found.beyond)
    ]
    use = "by which `scaled` divides" if found.slope > 0 else "not positive, so nothing is scaled"
    facts = [
        f"Slope of V on the zero-parameter formula: {number(found.slope)}, {use}; the formula explains {number(found.explained)} of V's "
        "variance.",
        f"Correlation with the formula's weights over {len(found.positions)} positions: {number(found.correlation)}.",
    ]
    parts: list[RenderableType] = [_table(title, width, columns, rows), Text("\n".join(facts)), _table("", width, shares, lines)]
    return Group(*parts)


def _band(band: list[Position], slope: float) -> list[str]:
    """One row; the interval of a band of several positions is left out, since theirs are not independent."""
    name = str(band[0].i) if len(band) == 1 else f"{band[0].i}-{band[-1].i}"

    def mean(values: Iterable[float]) -> float:
        return math.fsum(values) / len(band)

    single = band[0] if len(band) == 1 else None
    formula = mean(entry.formula_attribution.value for entry in band) * (slope if slope > 0 else math.nan)
    return [
        name,
        number(mean(entry.gradient.value for entry in band)),
        _span(single.gradient) if single else "",
        number(mean(entry.scaled for entry in band)),
        number(mean(entry.total for entry in band)),
        number(mean(entry.formula for entry in band)),
        number(mean(entry.attribution.value for entry in band)),
        _span(single.attribution) if single else "",
        number(formula),
    ]


def curve_page(found: Curve, sentences: list[str], width: int) -> RenderableType:
    """Two tables by lookahead, means on test and counts on the logged seeds, and what they say."""
    runs = len(found.seeds)
    columns = [
        Column("lookahead"),
        Column("covered"),
        Column("hinge", 120),
        Column("95 %", 130),
        Column("sum", 120),
        Column("violations"),
        Column("95 %", 110),
        Column("sum"),
        Column("minus sum"),
        Column("95 %"),
        Column("beyond all", 145),
        Column("95 %", 175),
        Column("sum", 145),
    ]
    title = f"{found.trial}: {found.points[0].hinge.n} test orbits x {runs} replicates of {found.steps} steps"
    rows = [(_point(point), "") for point in found.points]
    far = found.points[-1]
    note = (
        "covered: share of steps that end within the lookahead, where the input contains the answer. beyond all: violations on steps with "
        f"more than {far.lookahead} left to 1, on {far.beyond.n} orbits."
    )
    logged = [Column("lookahead")]
    for seed in far.logged:
        logged += [Column(str(seed)), Column("sum"), Column("covered", 130)]
    counts = []
    for point in found.points:
        cells = [str(point.lookahead)]
        for seed, (low, high) in point.logged.items():
            cells += [str(low) if low == high else f"{low}..{high}", str(point.sum_logged[seed]), f"{point.logged_coverage[seed]:.0%}"]
        counts.append((cells, ""))
    second = _table("violations on the logged seeds, smallest and largest over the replicates", width, logged, counts)
    return Group(_table(title, width, columns, rows), Text(note), second, Text("\n".join(sentences)))


def _point(point: Point) -> list[str]:
    return [
        str(point.lookahead),
        f"{point.coverage.value:.0%}",
        _value(point.hinge),
        _span(point.hinge),
        _value(point.sum_hinge),
        _value(point.violations),
        _span(point.violations),
        _value(point.sum_violations),
        _value(point.difference),
        _span(point.difference),
        _value(point.beyond),
        _span(point.beyond),
        _value(point.sum_beyond),
    ]
