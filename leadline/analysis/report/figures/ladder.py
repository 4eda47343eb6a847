"""Ladders: metrics that are one quantity at growing strengths, such as success under noise.

A ladder shows the best trial of each stratum: the confirmed one where there is one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from leadline.analysis import scores
from leadline.analysis.report.figures.base import figure, literal, look
from leadline.analysis.scores import Reading
from leadline.ledger import leaderboard
from leadline.ledger.history import History
from leadline.measure import Metric, Series

__all__ = ["Ladder", "ladders"]

LEAST = 3
"""The fewest rungs of a ladder."""


@dataclass(frozen=True)
class Ladder:
    """Metrics of one series, in the order of their strengths.

    Attributes:
        series: of each metric, its place in the series, growing; `name`, `axis`, `unit` and `doc`
            are those of the first.
        metrics: the metrics' names, in the same order.
        rows: by stratum, what was read by each metric: on test where a finalist is confirmed, else
            on validation; None where nothing was.
        looks: by stratum, its colour and its symbol.
    """

    series: list[Series]
    metrics: list[str]
    rows: dict[str, list[Reading | None]]
    looks: dict[str, tuple[str, str]]

    @property
    def name(self) -> str:
        """The name that the metrics share."""
        return self.series[0].name

    @property
    def title(self) -> str:
        """What is shown over what; a name that says so itself stands alone."""
        return self.name if " by " in self.name else f"{self.name} by {self.axis}"

    @property
    def axis(self) -> str:
        """The name of the strengths, for the axis."""
        return self.series[0].axis

    @property
    def doc(self) -> str:
        """The description of the quantity; empty where the family gives none."""
        return self.series[0].doc

    @property
    def rungs(self) -> list[str]:
        """The strengths as tables write them."""
        return [one.position for one in self.series]

    @property
    def splits(self) -> str:
        """The splits that were read: `test`, `validation`, or both."""
        return " and ".join(dict.fromkeys(one.split for row in self.rows.values() for one in row if one))

    @property
    def table(self) -> list[tuple[str, ...]]:
        """The table's rows: a stratum, and value and interval at each rung."""
        return [(stratum, *(one.words if one else "-" for one in row)) for stratum, row in self.rows.items()]

    @property
    def drawn(self) -> go.Figure:
        """The figure, with a line for each stratum.

        Its axis is logarithmic where all strengths are above 0.
        """
        at = [one.at for one in self.series]
        unit = f" ({self.series[0].unit})" if self.series[0].unit else ""
        x: dict[str, Any] = {"title": {"text": literal(f"{self.axis}{unit}")}}
        x |= {"type": "log" if min(at) > 0 else "linear", "tickvals": at}
        x["ticktext"] = [f"{value:g}" for value in at]
        legend = {"orientation": "h", "yanchor": "bottom", "y": 1.02, "x": 0, "font": {"size": 11}}
        made = figure(
            340, x, {"title": {"text": literal(self.name)}}, legend=legend, margin={"l": 8, "r": 8, "t": 8, "b": 8}
        )
        for stratum in self.rows:
            made.add_trace(self._line(stratum))
        return made

    def _line(self, stratum: str) -> go.Scatter:
        found = [(rung, one.measure, one) for rung, one in zip(self.series, self.rows[stratum], strict=True) if one]
        colour, symbol = self.looks[stratum]
        return go.Scatter(
            x=[rung.at for rung, _, _ in found],
            y=[measure.value for _, measure, _ in found],
            name=literal(stratum),
            mode="lines+markers",
            line={"color": colour, "width": 1.6},
            marker={"symbol": symbol, "size": 8},
            error_y={
                "type": "data",
                "symmetric": False,
                "array": [measure.high - measure.value for _, measure, _ in found],
                "arrayminus": [measure.value - measure.low for _, measure, _ in found],
                "color": colour,
                "thickness": 1.2,
            },
            hovertext=[f"{literal(stratum)}, {literal(rung.position)}: {_said(one)}" for rung, _, one in found],
            hoverinfo="text",
        )


def _said(one: Reading) -> str:
    return f"{one.words}, {one.split}, n = {one.measure.n}"


def ladders(history: History) -> list[Ladder]:
    """Returns every series that was reported at three strengths or more.

    It is that of the best trial of each stratum.
    """
    groups: dict[str, list[Metric]] = {}
    held, known = scores.held(history), scores.declared(history.settings)
    for metric in [known[name] for name in held if name in known]:
        if metric.series:
            groups.setdefault(metric.series.name, []).append(metric)
    found = [_ladder(history, metrics) for metrics in groups.values() if len(metrics) >= LEAST]
    return [ladder for ladder in found if ladder.rows]


def _ladder(history: History, metrics: list[Metric]) -> Ladder:
    steps = sorted(((one.series, one.name) for one in metrics if one.series), key=lambda step: step[0].at)
    names = [name for _, name in steps]
    rows = {
        stratum: [scores.confirmed(history, stratum, name) or scores.chosen(history, stratum, name) for name in names]
        for stratum in leaderboard.strata(history)
    }
    read = {stratum: row for stratum, row in rows.items() if any(row)}
    return Ladder([series for series, _ in steps], names, read, {stratum: look(history, stratum) for stratum in read})
