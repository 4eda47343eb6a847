"""Learning curves: the objective on validation along the budget, with rungs, a figure per stratum.

Where trials have a curriculum, a diamond marks the end of each stage, and the best trial's stages
are named above.

The scale is that of the trials that ran to the end. Values far beyond it are named in words, since
one diverged trial would flatten all others.
"""

from __future__ import annotations

import itertools
import math
import textwrap
from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from leadline.analysis import early_stopping, progress
from leadline.analysis.palette import BLUE, GREY, ORANGE
from leadline.analysis.report.figures.base import figure, literal, scale, stratum_title
from leadline.curriculum import stage_name
from leadline.ledger import leaderboard
from leadline.ledger.history import History, Trial
from leadline.ledger.leaderboard_table import number
from leadline.measure import Report
from leadline.plain import plural

__all__ = ["curves"]

UNITS = {"steps": "optimizer steps", "samples": "training samples"}
ENDS = {"stopped": "x", "failed": "x-open", "running": "triangle-right-open", "waiting": "triangle-right-open"}


NAMED = 40
"""The best trials of a stratum that have a line each; those after them share one by their status,
as a browser is slow with thousands."""


def curves(history: History) -> list[go.Figure]:
    """Returns one figure for each stratum in which a trial has reported a finite value.

    Each has its own scale.
    """
    return [
        _of(history, stratum, values)
        for stratum in leaderboard.strata(history)
        if (values := _values(history, stratum))
    ]


def _values(history: History, stratum: str) -> dict[int, list[float]]:
    """Returns the finite values that each trial has reported; trials without any are left out."""
    metric = leaderboard.objective(history)
    reported = {
        trial.number: [report.metrics[metric].value for report in trial.reports if metric in report.metrics]
        for trial in history.search_trials()
        if trial.stratum == stratum
    }
    finite = {number: [value for value in values if math.isfinite(value)] for number, values in reported.items()}
    return {number: values for number, values in finite.items() if values}


def _at(kind: str, value: float) -> float:
    """Returns the position of a value on a linear or logarithmic axis."""
    return value if kind == "linear" else math.log10(value) if value > 0 else -math.inf


def _trivial(history: History, stratum: str) -> tuple[str, float] | None:
    """Returns name and value of the best trivial predictor on validation; None without one."""
    name = leaderboard.objective(history)
    line = leaderboard.best_trivial(history, stratum, name)
    return (line.name, line.metrics[name].value) if line else None


def _axis(history: History, stratum: str, values: dict[int, list[float]]) -> dict[str, Any]:
    """Returns the y axis of a stratum's figure.

    Its scale is that of the trials that ran their whole budget or still run; stopped ones may be
    far off, and count only where there are no others. It is no finer than the interval of the best
    trial, since differences that mean nothing should not look large. Other trials and the best
    trivial predictor widen it to at most three times that.
    """
    metric = leaderboard.objective(history)
    leader = progress.best(history, stratum)
    trivial = _trivial(history, stratum)
    going = [number for number in values if history.trials[number].status == "finished" or history.trials[number].open]
    core = [value for number in going or values for value in values[number]]
    axis, measure = scale(core), leader.measure(metric) if leader else None
    core = [_at(axis["type"], value) for value in [*core, *([measure.low, measure.high] if measure else [])]]
    core = [at for at in core if math.isfinite(at)]
    low, high = min(core), max(core)
    others = [
        _at(axis["type"], value) for value in [*itertools.chain(*values.values()), *([trivial[1]] if trivial else [])]
    ]
    near = [at for at in others if 2 * low - high <= at <= 2 * high - low]
    low, high = min([low, *near]), max([high, *near])
    margin = 0.05 * (high - low) or 0.05 * abs(low) or 0.1
    return {**axis, "range": [low - margin, high + margin], "title": {"text": literal(metric)}}


def _of(history: History, stratum: str, values: dict[int, list[float]]) -> go.Figure:
    x = {
        "title": {"text": UNITS[progress.unit(history)]},
        "range": [0, history.settings.budget * 1.03],
        "tickformat": "~s",
    }
    made = figure(320, x, _axis(history, stratum, values), showlegend=False)
    title = {"text": stratum_title(history, stratum), "x": 0.5, "y": 0.97, "yanchor": "top", "font": {"size": 15}}
    made.update_layout(margin_t=70, title=title)
    for rung in early_stopping.rungs(history):
        made.add_vline(x=rung, line={"color": GREY, "width": 1, "dash": "dot"}, opacity=0.7)
    leader = progress.best(history, stratum)
    if leader:
        _add_stages(made, history, leader)
    ranked = [trial for trial in leaderboard.ranked(history, stratum) if trial.reports]
    named = [trial for place, trial in enumerate(ranked) if place < NAMED or trial.open]
    rest = [trial for place, trial in enumerate(ranked) if place >= NAMED and not trial.open]
    for status in ("failed", "stopped", "finished"):
        made.add_traces(_together(history, [trial for trial in rest if trial.status == status]))
    for trial in reversed(named):
        made.add_trace(_curve(history, trial, best=trial is leader))
    said = [*_add_trivial(made, history, stratum), *_beyond(made, values)]
    above = {
        "xref": "paper",
        "yref": "paper",
        "x": 1,
        "xanchor": "right",
        "y": 1,
        "yanchor": "bottom",
        "align": "right",
    }
    if said:
        made.add_annotation(text="<br>".join(said), showarrow=False, **above)
    return made


def _stages(reports: Sequence[Report]) -> list[int]:
    """Returns the stage of each report; 0 without a curriculum."""
    return [int(report.facts.get("stage", 0)) for report in reports]


def _add_stages(made: go.Figure, history: History, trial: Trial) -> None:
    """Draws a line where each stage of a trial ended, and names the stages at the foot."""
    stages, spent = _stages(trial.reports), [0, *(history.spent(report) for report in trial.reports)]
    for stage in dict.fromkeys(stages) if len(set(stages)) > 1 else ():
        begin, end = spent[stages.index(stage)], spent[len(stages) - stages[::-1].index(stage)]
        made.add_vline(x=end, line={"color": GREY, "width": 1}, opacity=0.5)
        made.add_annotation(
            text=literal(stage_name(trial.config, stage)),
            x=(begin + end) / 2,
            y=0.01 + 0.07 * (stage % 2),  # in two rows, as neighbours' names may be wider than they are
            yref="paper",
            yanchor="bottom",
            showarrow=False,
            font={"size": 11, "color": GREY},
        )


def _side(made: go.Figure, value: float) -> int:
    """Returns 0 for a value on the plot's scale, -1 for one below it, 1 for one above it."""
    low, high = made.layout.yaxis.range
    at = _at(made.layout.yaxis.type, value)
    return int(at > high) - int(at < low)


def _add_trivial(made: go.Figure, history: History, stratum: str) -> list[str]:
    """Draws a dashed line at the best trivial predictor.

    Where that lies beyond the scale, it returns a text that says so instead.
    """
    trivial = _trivial(history, stratum)
    if trivial is None:
        return []
    name, value = trivial
    hover = f"{literal(name)}: {number(value)}"
    if side := _side(made, value):
        return [f"{'below' if side < 0 else 'above'} this scale: {hover}"]
    line, ends = {"color": GREY, "dash": "dash"}, [0, history.settings.budget]
    made.add_trace(go.Scatter(x=ends, y=[value, value], mode="lines", line=line, hovertext=hover, hoverinfo="text"))
    return []


def _beyond(made: go.Figure, values: dict[int, list[float]]) -> list[str]:
    """Returns in words how many trials leave the scale, and how far."""
    found = []
    for side, word, extreme in ((-1, "below", min), (1, "above", max)):
        outside = [extreme(reported) for reported in values.values() if _side(made, extreme(reported)) == side]
        if outside:
            found.append(f"{plural(len(outside), 'trial')} {word} this scale, to {number(extreme(outside))}")
    return found


def _curve(history: History, trial: Trial, best: bool) -> go.Scatter:
    metric = leaderboard.objective(history)
    points = [(report, report.metrics[metric].value) for report in trial.reports if metric in report.metrics]
    full = trial.status == "finished"
    about = _about(history, trial, best)
    stages = _stages([report for report, _ in points])
    ended = [stage != after for stage, after in itertools.pairwise(stages)]
    at = [f", {literal(stage_name(trial.config, stage))}" if any(ended) else "" for stage in stages]
    colour = ORANGE if best else BLUE if full or trial.open else GREY
    return go.Scatter(
        x=[history.spent(report) for report, _ in points],
        y=[value if math.isfinite(value) else None for _, value in points],
        mode="lines+markers",
        opacity=1.0 if full or trial.open else 0.55,
        line={"color": colour, "width": 2.6 if best else 1.4, "dash": "dot" if trial.status == "failed" else "solid"},
        marker={
            "color": colour,
            "symbol": ["diamond" if end else "circle" for end in ended] + [ENDS.get(trial.status, "circle")],
            "size": [7 if end else 3 for end in ended] + [7],
            "line": {"width": 0},
        },
        hovertext=[
            f"{about}<br>{progress.spent(history, report)}{stage}: {number(value)}"
            for (report, value), stage in zip(points, at, strict=True)
        ],
        hoverinfo="text",
    )


def _together(history: History, trials: Sequence[Trial]) -> list[go.Scatter]:
    """Returns one trace for the lines of trials of one status, and one for their ends."""
    metric = leaderboard.objective(history)
    x: list[int | None] = []
    y: list[float | None] = []
    said: list[str] = []
    ends: list[tuple[int, float | None, str]] = []
    for trial in trials:
        points = [(history.spent(one), one.metrics[metric].value) for one in trial.reports if metric in one.metrics]
        if not points:
            continue
        shown = [(at, value if math.isfinite(value) else None) for at, value in points]
        x += [at for at, _ in shown] + [None]
        y += [value for _, value in shown] + [None]
        said += [f"trial {trial.number}: {number(value)}" for _, value in points] + [""]
        ends.append((*shown[-1], _about(history, trial, best=False)))
    if not ends:
        return []
    colour = BLUE if trials[0].status == "finished" else GREY
    line = {"color": colour, "width": 1, "dash": "dot" if trials[0].status == "failed" else "solid"}
    marker = {"color": colour, "symbol": ENDS.get(trials[0].status, "circle"), "size": 5}
    return [
        go.Scatter(x=x, y=y, mode="lines", opacity=0.35, line=line, hovertext=said, hoverinfo="text"),
        go.Scatter(
            x=[at for at, _, _ in ends],
            y=[value for _, value, _ in ends],
            mode="markers",
            opacity=0.5,
            marker=marker,
            hovertext=[about for _, _, about in ends],
            hoverinfo="text",
        ),
    ]


def _about(history: History, trial: Trial, best: bool) -> str:
    reason = "<br>".join(map(literal, textwrap.wrap(progress.brief(trial.reason)[:160], 44)))
    where = progress.spent(history, trial.reports[-1])
    name = f"trial {trial.number}{', the best' if best else ''}"
    return f"{name}<br>{trial.status} at {where}{f'<br>{reason}' if reason else ''}"
