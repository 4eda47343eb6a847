"""The search trials by two metrics at once, where they may disagree."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from leadline.analysis import progress, scores
from leadline.analysis.palette import BLUE, GREY, ORANGE
from leadline.analysis.report import first
from leadline.analysis.report.answers import Answer
from leadline.analysis.report.figures.base import figure, literal, scale, stratum_title
from leadline.analysis.sweep import Sweep
from leadline.ledger import leaderboard
from leadline.ledger.history import Trial
from leadline.ledger.leaderboard_table import number
from leadline.ledger.verdicts import Verdict
from leadline.measure import sign

__all__ = ["Trade", "front", "trade"]


@dataclass(frozen=True)
class Trade:
    """The search trials by the objective and another metric.

    Attributes:
        other: the other metric.
        contrary: the strata of which it says the contrary.
        words: which these are, in a sentence; empty without any.
        figures: a figure for each stratum in question.
    """

    other: str
    contrary: list[str]
    words: str
    figures: list[go.Figure]


def trade(sweep: Sweep, found: Sequence[Answer]) -> Trade | None:
    """Returns the search trials by the objective and the metric that disagrees most often.

    Where none disagrees, it is the first other metric. There is nothing without one that trials
    have on validation.
    """
    known = [name for name in _others(sweep) if any(_point(sweep, trial, name) for trial in _trials(sweep))]
    if not known:
        return None
    worse = Counter(one.metric for answer in found for one in answer.contrary if one.metric in known)
    other = worse.most_common(1)[0][0] if worse else known[0]
    contrary = [answer.stratum for answer in found if other in (one.metric for one in answer.contrary)]
    figures = [made for stratum in contrary or sweep.strata if (made := _figure(sweep, stratum, other))]
    return Trade(other, contrary, _words(sweep, found, contrary, other), figures) if figures else None


def _words(sweep: Sweep, found: Sequence[Answer], contrary: Sequence[str], other: str) -> str:
    """Returns of which strata another metric says the contrary; nothing where it does of none."""
    objective, field = sweep.settings.metric, sweep.settings.stratify
    groups: dict[str, list[str]] = {}
    for answer in found:
        if answer.stratum in contrary:
            claimed = "better than" if answer.verdict is Verdict.MIXED else "not told apart from"
            groups.setdefault(claimed, []).append(answer.stratum)
    said = [
        f"{claimed} the best trivial predictor by {objective} and worse by {other}"
        + (f" at {field} {', '.join(strata)}" if field else "")
        for claimed, strata in groups.items()
    ]
    return f"The winner is {'; it is '.join(said)}." if said else ""


def _others(sweep: Sweep) -> list[str]:
    """Returns the other metrics of how well a model does, those beside the objective first."""
    known = scores.declared(sweep.settings)
    names = [*sweep.settings.beside, *sweep.settings.modes, *known]
    scored = [name for name in names if name not in known or known[name].role in ("score", "common")]
    return [name for name in dict.fromkeys(scored) if name != sweep.settings.metric]


def _trials(sweep: Sweep) -> list[Trial]:
    return sweep.history.search_trials()


def _point(sweep: Sweep, trial: Trial, other: str) -> tuple[float, float] | None:
    """Returns a trial's values by both metrics on validation; None where one is not finite."""
    found = trial.value(leaderboard.objective(sweep.history)), trial.value(leaderboard.metric_name(other))
    return found if all(map(math.isfinite, found)) else None


def front(points: Sequence[tuple[float, float]], signs: tuple[float, float]) -> list[tuple[float, float]]:
    """Returns the points that no other beats by both metrics, in order of the first.

    Args:
        points: values by both metrics.
        signs: of each metric, the factor after which smaller is better.
    """
    found: list[tuple[float, float]] = []
    for point in sorted(points, key=lambda point: (signs[0] * point[0], signs[1] * point[1])):
        if not found or signs[1] * point[1] < signs[1] * found[-1][1]:
            found.append(point)
    return found


def _figure(sweep: Sweep, stratum: str, other: str) -> go.Figure | None:
    history, objective = sweep.history, sweep.settings.metric
    placed = [
        (trial, point)
        for trial in _trials(sweep)
        if trial.stratum == stratum and (point := _point(sweep, trial, other))
    ]
    if not placed:
        return None
    names = leaderboard.objective(history), leaderboard.metric_name(other)
    lines = [
        (line.name, (line.metrics[names[0]].value, line.metrics[names[1]].value))
        for line in history.baselines
        if line.stratum == stratum and not leaderboard.is_oracle(line.name) and set(names) <= line.metrics.keys()
    ]
    ahead = front([point for _, point in lines if all(map(math.isfinite, point))], _signs(sweep, other))
    lines = [(name, point) for name, point in lines if point in ahead]  # the others would only widen the scale
    shown = [point for _, point in [*placed, *lines]]
    titles = (objective, other)
    axes: list[dict[str, Any]] = [
        {"title": {"text": f"{literal(name)}, {_better(sweep, name)}"}, **scale(point[at] for point in shown)}
        for at, name in enumerate(titles)
    ]
    made = figure(360, *axes, showlegend=False)
    made.update_layout(title={"text": stratum_title(history, stratum), "x": 0.5, "font": {"size": 15}})
    best = front([point for trial, point in placed if trial.status == "finished"], _signs(sweep, other))
    look = {"color": ORANGE, "width": 1.4, "shape": "linear", "dash": "dot"}
    made.add_trace(
        _scatter([(point, "no finished trial is better by both") for point in best], mode="lines", line=look)
    )
    made.add_trace(_dots(sweep, placed))
    made.add_trace(_crosses(lines))
    winner = first.winner(sweep, stratum)
    if winner and (point := _point(sweep, winner, other)):
        look = {"symbol": "diamond", "size": 13, "color": ORANGE}
        made.add_trace(_scatter([(point, f"trial {winner.number}, the winner")], mode="markers", marker=look))
    return made


def _signs(sweep: Sweep, other: str) -> tuple[float, float]:
    return sign(sweep.settings.mode), sign(scores.metric(sweep.history, other).mode)


def _better(sweep: Sweep, name: str) -> str:
    mode = sweep.settings.mode if name == sweep.settings.metric else scores.metric(sweep.history, name).mode
    return f"{'smaller' if mode == 'min' else 'larger'} is better"


def _scatter(points: Sequence[tuple[tuple[float, float], str]], **look: Any) -> go.Scatter:
    """Returns a trace of points, each with what it is."""
    return go.Scatter(
        x=[x for (x, _), _ in points],
        y=[y for (_, y), _ in points],
        hovertext=[f"{words}<br>{number(x)}, {number(y)}" for (x, y), words in points],
        hoverinfo="text",
        **look,
    )


def _dots(sweep: Sweep, placed: Sequence[tuple[Trial, tuple[float, float]]]) -> go.Scatter:
    full = [trial.status == "finished" for trial, _ in placed]
    marker = {
        "color": BLUE,
        "size": 8,
        "symbol": ["circle" if one else "circle-open" for one in full],
        "opacity": [0.9 if one else 0.45 for one in full],
    }
    said = [
        (point, f"trial {trial.number}, {trial.status} at {progress.spent(sweep.history, trial.reports[-1])}")
        for trial, point in placed
    ]
    return _scatter(said, mode="markers", marker=marker)


def _crosses(lines: Sequence[tuple[str, tuple[float, float]]]) -> go.Scatter:
    names = [literal(name) for name, _ in lines]
    look = {"symbol": "x-thin-open", "size": 10, "color": GREY, "line": {"width": 2, "color": GREY}}
    said = [(point, literal(name)) for name, point in lines]
    highest = max((y for _, (_, y) in lines), default=0.0)
    places = ["top right" if y == highest else "bottom right" for _, (_, y) in lines]  # they may be close
    return _scatter(said, mode="markers+text", marker=look, text=names, textposition=places, cliponaxis=False)
