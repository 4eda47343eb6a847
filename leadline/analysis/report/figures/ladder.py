"""A ladder: metrics that are one quantity at growing strengths, such as success under noise, for the confirmed best of each stratum."""

from __future__ import annotations

import re
from dataclasses import dataclass

import plotly.graph_objects as go

from leadline.analysis import scores
from leadline.analysis.report.figures.base import COLOURS, SYMBOLS, figure, literal
from leadline.analysis.scores import Reading
from leadline.ledger import leaderboard
from leadline.ledger.history import History

__all__ = ["Ladder", "ladders"]

_RUNG = re.compile(r"(.+)_(\d+(?:\.\d+)?e[+-]?\d+)")
LEAST = 3
"""Rungs below which there is no ladder."""


@dataclass(frozen=True)
class Ladder:
    """Metrics called `name_1e-05`, `name_1e-04` and so on.

    Attributes:
        name: what they share.
        rungs: strengths as they are written in the names, growing.
        rows: by stratum, what was read at each rung: on test where a finalist is confirmed, else on validation; None where nothing was.
    """

    name: str
    rungs: list[str]
    rows: dict[str, list[Reading | None]]

    @property
    def splits(self) -> str:
        """`test`, `validation`, or both."""
        return " and ".join(dict.fromkeys(one.split for row in self.rows.values() for one in row if one))

    @property
    def table(self) -> list[tuple[str, list[str]]]:
        """(stratum, value and interval at each rung)."""
        return [(stratum, [one.words if one else "-" for one in row]) for stratum, row in self.rows.items()]

    @property
    def drawn(self) -> go.Figure:
        """A line for each stratum over a logarithmic axis."""
        x = {
            "title": {"text": "strength"},
            "type": "log",
            "tickvals": [float(rung) for rung in self.rungs],
        }
        x["ticktext"] = [f"{float(rung):g}" for rung in self.rungs]
        legend = {"orientation": "h", "yanchor": "bottom", "y": 1.02, "x": 0, "font": {"size": 11}}
        made = figure(
            340, x, {"title": {"text": literal(self.name)}}, legend=legend, margin={"l": 8, "r": 8, "t": 8, "b": 8}
        )
        for index, stratum in enumerate(self.rows):
            made.add_trace(self._line(stratum, index))
        return made

    def _line(self, stratum: str, index: int) -> go.Scatter:
        found = [(rung, one.measure, one) for rung, one in zip(self.rungs, self.rows[stratum], strict=True) if one]
        colour = COLOURS[index % len(COLOURS)]
        return go.Scatter(
            x=[float(rung) for rung, _, _ in found],
            y=[measure.value for _, measure, _ in found],
            name=literal(stratum),
            mode="lines+markers",
            line={"color": colour, "width": 1.6},
            marker={"symbol": SYMBOLS[index % len(SYMBOLS)], "size": 8},
            error_y={
                "type": "data",
                "symmetric": False,
                "array": [measure.high - measure.value for _, measure, _ in found],
                "arrayminus": [measure.value - measure.low for _, measure, _ in found],
                "color": colour,
                "thickness": 1.2,
            },
            hovertext=[
                f"{literal(stratum)}, {rung}: {one.words}, {one.split}, n = {measure.n}" for rung, measure, one in found
            ],
            hoverinfo="text",
        )


def ladders(history: History) -> list[Ladder]:
    """Every ladder that was reported, the best trial of each stratum by the objective on it."""
    groups: dict[str, list[str]] = {}
    for name in scores.held(history):
        if match := _RUNG.fullmatch(name):
            groups.setdefault(match[1], []).append(match[2])
    found = [_ladder(history, name, sorted(rungs, key=float)) for name, rungs in groups.items() if len(rungs) >= LEAST]
    return [ladder for ladder in found if ladder.rows]


def _ladder(history: History, name: str, rungs: list[str]) -> Ladder:
    rows = {
        stratum: [
            scores.confirmed(history, stratum, metric) or scores.chosen(history, stratum, metric) for metric in metrics
        ]
        for stratum in leaderboard.strata(history)
        if (metrics := [f"{name}_{rung}" for rung in rungs])
    }
    return Ladder(name, rungs, {stratum: row for stratum, row in rows.items() if any(row)})
