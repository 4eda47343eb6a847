"""Answers as tables for a terminal.

A table shows fewer columns in a narrow terminal.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from leadline.ledger.leaderboard import is_oracle
from leadline.ledger.leaderboard_table import number
from leadline.measure import Measure
from leadline.plain import plural

if TYPE_CHECKING:
    from analysis.collatz.ablation import Ablation, Effect
    from analysis.collatz.attribution import Attribution, Position
    from analysis.collatz.failures import Bin, Failures
    from analysis.collatz.lookahead import Curve, Point

__all__ = ["ablation_page", "attribution_page", "curve_page", "failures_page"]

NARROW = 100
"""The width below which intervals are written without spaces, and a table has the fewest columns.
"""
BANDS = (1, 2, 3, 4, 5, 6, 11, 21, 51, 101, 201)
"""The first positions of the bands in which the window is shown."""
COUNTED = 130
"""The width from which shares have counts beside them."""
PRIVATE = {
    "all": "private steps (training touches none of them)",
    "scored": "unguarded steps (on no other orbit, yet training may touch them: guard=scored)",
}
"""The words for the logged seeds' steps that are not leaked, by the configuration's guard."""


class Column(NamedTuple):
    """A column: its heading, and the terminal's width from which it is shown.

    Columns of words wrap; names do not.
    """

    heading: str
    least: int = 0
    left: bool = False
    words: bool = False


def _table(
    title: str, width: int, columns: Sequence[Column], rows: Iterable[tuple[Sequence[str], str]]
) -> RenderableType:
    """Draws a table.

    Each row has a cell for each column, and a style, in which `line` ends a section.
    """
    table = Table(box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    shown = [i for i, column in enumerate(columns) if width >= column.least]
    for i in shown:
        column = columns[i]
        table.add_column(column.heading, justify="left" if column.left else "right", no_wrap=not column.words)
    for cells, style in rows:
        texts = [Text(cells[i].replace(" .. ", "..") if width < NARROW else cells[i]) for i in shown]
        table.add_row(*texts, style=style.removesuffix("line"), end_section=style.endswith("line"))
    return Group(Text(title), table) if title else table


def _span(measure: Measure | None) -> str:
    return "" if measure is None else f"{number(measure.low)} .. {number(measure.high)}"


def _value(measure: Measure | None) -> str:
    return "" if measure is None else number(measure.value)


def _predictors(title: str, width: int, predictors: dict[str, dict[str, Measure]]) -> RenderableType:
    """Draws hinge and violations of every trivial predictor."""
    columns = [
        Column("predictor", left=True),
        Column("hinge"),
        Column("95 %"),
        Column("violations", 90),
        Column("95 %", 90),
        Column("n"),
    ]
    rows = []
    for name, metrics in predictors.items():
        hinge, violations = metrics["hinge"], metrics["violations"]
        cells = [name, _value(hinge), _span(hinge), _value(violations), _span(violations), str(hinge.n)]
        rows.append((cells, "dim" if is_oracle(name) else ""))
    return _table(title, width, columns, rows)


def failures_page(found: Failures, width: int) -> RenderableType:
    """Draws three tables of bins, and the trivial predictors."""
    shares = (Column("network"), Column("95 %"), Column("sum"), Column("95 %", 180))
    counts = tuple(Column(heading, COUNTED) for heading in ("network", "sum", "both", "network only", "sum only"))
    heads = (Column("bin", left=True), Column("orbits"), Column("steps"))
    test = []
    for line, end in _sections(found.test):
        means = [show(share) for share in (line.share, line.formula_share) for show in (_value, _span)]
        test.append(([*_place(line), *means, *_overlap(line)], end))
    title = (
        f"{found.trial}, lookahead {found.lookahead}: share of the test split's private steps violated, "
        f"mean over orbits{_counted(width)}; sum: the zero-parameter sum"
    )
    tables = [_table(title, width, [*heads, *shares, *counts], test)]
    for name, bins in (
        (PRIVATE[found.guard], found.logged_unleaked),
        ("leaked steps (small numbers, and numbers on several orbits: training may touch them)", found.logged_leaked),
    ):
        rows = [([*_place(line), *_overlap(line)], end) for line, end in _sections(bins)]
        columns = [*heads, *(column._replace(least=0) for column in counts)]
        tables.append(_table(f"violations counted on the published log's five seeds, {name}", width, columns, rows))
    note = f"fifth: of the whole orbit's steps. remaining <= {found.lookahead}: the input contains the answer.\n"
    return Group(*tables, Text(note), _predictors("trivial predictors on the test split", width, found.predictors))


def _counted(width: int) -> str:
    """Returns words for the counts, if the table is wide enough for them."""
    return ", then counts" if width >= COUNTED else ""


def _sections(bins: list[Bin]) -> list[tuple[Bin, str]]:
    """Returns each bin, and whether its dimension ends there."""
    following = [line.by for line in bins[1:]] + [""]
    return [(line, "" if line.by == after else "line") for line, after in zip(bins, following, strict=True)]


def _place(line: Bin) -> list[str]:
    return [line.label, str(line.orbits), str(line.steps)]


def _overlap(line: Bin) -> list[str]:
    return list(map(str, (line.network, line.formula, line.both, line.network - line.both, line.formula - line.both)))


def ablation_page(found: Ablation, width: int) -> RenderableType:
    """Draws the effects, with what they are compared with above them."""
    columns = [
        Column("inputs", left=True),
        Column("way", left=True),
        Column("hinge", NARROW),
        Column("least .. most", 170),
        Column("difference"),
        Column("95 %"),
        Column("holds for", left=True, words=True),
        Column("violations", 110),
        Column("difference", 125),
        Column("95 %", 140),
    ]
    orbits, runs = found.intact["hinge"].n, len(found.seeds)
    whole = (("as trained", found.intact, ""), ("retrained", found.control, "line")) if width >= NARROW else ()
    rows = [
        (["all", way, _value(own["hinge"]), "", "", "", "", _value(own["violations"]), "", ""], end)
        for way, own, end in whole
    ]
    rows += [(_effect_cells(effect), "line" if effect.way == "retrained" else "") for effect in found.effects]
    title = (
        f"{found.trial}: without inputs, on {orbits} test orbits. "
        f"Hinge with all inputs: {_value(found.intact['hinge'])} as trained, "
        f"{_value(found.control['hinge'])} retrained."
    )
    note = (
        "masked: inputs at their training mean; permuted: mean over seeded permutations between nodes. "
        "Both against the network as trained, with intervals over orbits for this one network: "
        "another seed's may lean on other inputs.\n"
        f"retrained: {plural(found.steps, 'step')} without the inputs, against the same with all from the same seed; "
        f"{plural(runs, 'replicate')}, with intervals over replicates and orbits.\n"
    )
    predictors = _predictors("trivial predictors on the test split", width, found.predictors)
    return Group(_table(title, width, columns, rows), Text(note), predictors)


def _effect_cells(effect: Effect) -> list[str]:
    spread = f"{number(effect.spread[0])} .. {number(effect.spread[1])}" if effect.spread else ""
    hinge, violations = (effect.differences[name] for name in ("hinge", "violations"))
    first = [
        effect.group,
        effect.way,
        _value(effect.values["hinge"]),
        spread,
        _value(hinge),
        _span(hinge),
        effect.scope,
    ]
    return [*first, _value(effect.values["violations"]), _value(violations), _span(violations)]


def attribution_page(found: Attribution, width: int) -> RenderableType:
    """Draws the window in bands, then the shares."""
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
    title = (
        f"{found.trial}: gradients at {found.nodes} numbers of {found.orbits} validation orbits; "
        "bands are means of their positions"
    )
    shares = [
        Column("share of |gradient x input|", left=True),
        Column("network"),
        Column("95 %", 80),
        Column("formula"),
        Column("95 %", 100),
        Column("n"),
    ]
    lines = [
        (
            [
                share.of,
                _value(share.network),
                _span(share.network),
                _value(share.formula),
                _span(share.formula),
                str(share.network.n),
            ],
            "",
        )
        for share in (*found.groups, *found.beyond)
    ]
    use = "by which `scaled` divides" if found.slope > 0 else "not positive, so nothing is scaled"
    facts = [
        "dV/dk: change of V per unit of the valuation k at a position, in this one network; "
        "formula: that of the zero-parameter formula.",
        f"Slope of V on the formula: {number(found.slope)}, {use}; it explains {found.explained:.2%} of V's variance.",
        f"Correlation of dV/dk and the formula's over {len(found.positions)} positions: {number(found.correlation)}.",
    ]
    parts: list[RenderableType] = [
        _table(title, width, columns, rows),
        Text("\n".join(facts)),
        _table("", width, shares, lines),
    ]
    return Group(*parts)


def _band(band: list[Position], slope: float) -> list[str]:
    """Returns one row.

    A band of several positions has no interval, since theirs are not independent.
    """
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
    """Draws two tables by lookahead, and what they say.

    They are means on test and counts on the logged seeds.
    """
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
    trained = f"{plural(runs, 'replicate')} of {plural(found.steps, 'step')}"
    title = f"{found.trial}: {found.points[0].hinge.n} test orbits x {trained}"
    rows = [(_point(point), "") for point in found.points]
    far = found.points[-1]
    note = (
        "covered: share of steps that end within the lookahead, where the input contains the answer. "
        f"beyond all: violations on steps with more than {far.lookahead} left to 1, on {far.beyond.n} orbits."
    )
    logged = [Column("lookahead")]
    for seed in far.logged:
        logged += [Column(str(seed)), Column("sum"), Column("covered", 130)]
    counts = []
    for point in found.points:
        cells = [str(point.lookahead)]
        for seed, (low, high) in point.logged.items():
            cells += [
                str(low) if low == high else f"{low}..{high}",
                str(point.sum_logged[seed]),
                f"{point.logged_coverage[seed]:.0%}",
            ]
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
