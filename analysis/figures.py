"""The report's figures. Backgrounds are transparent and colours of middling lightness, so that light and dark pages both carry them.

Texts that come from the ledger are escaped: Plotly reads a subset of HTML in hover texts and names.
"""

from __future__ import annotations

import html
import math
import textwrap
from collections.abc import Iterable, Sequence
from typing import Any

import plotly.graph_objects as go

from analysis import progress
from analysis.answers import best_trivial, confirmed_measures
from analysis.terminal import text
from sweeps.ledger import leaderboard
from sweeps.ledger.history import History, Trial
from sweeps.ledger.table import number

__all__ = ["answer", "curves", "parameters"]

BLUE, ORANGE, GREY = "#3d8fd6", "#df7f1c", "#8c8c8c"
COLOURS = (BLUE, ORANGE, "#2aa187", "#c667ab", "#a3932b", "#8f7be0", "#cf5c5c")
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "star", "hexagon")
GRID = "rgba(128,128,128,0.25)"
LOG_RATIO = 10.0


def _scale(values: Iterable[float], dense: float = 1000.0) -> dict[str, Any]:
    """A logarithmic axis where all values are positive and span more than a factor of 10; labels at 1, 2, 5 below a factor of `dense`."""
    finite = [value for value in values if math.isfinite(value)]
    if not finite or min(finite) <= 0 or max(finite) <= LOG_RATIO * min(finite):
        return {"type": "linear"}
    return {"type": "log", "tickformat": "~g", "dtick": "D2" if max(finite) < dense * min(finite) else 1}


def _figure(height: int, x: dict[str, Any], y: dict[str, Any], **layout: Any) -> go.Figure:
    axis = {"gridcolor": GRID, "linecolor": GRID, "zerolinecolor": GRID, "automargin": True, "exponentformat": "power"}
    return go.Figure(
        layout={
            "template": go.layout.Template(),
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "font": {"family": "system-ui, sans-serif", "size": 12, "color": GREY},
            "margin": {"l": 8, "r": 8, "t": 36, "b": 8},
            "height": height,
            "hovermode": "closest",
            "colorway": COLOURS,
            "xaxis": {**axis, **x},
            "yaxis": {**axis, **y},
            **layout,
        }
    )


def _label(history: History) -> str:
    return html.escape(str(history.settings["stratify"] or "stratum"))


def answer(history: History) -> go.Figure | None:
    """The objective against the stratum: confirmed on test, best on validation, trivial predictors. None without any value."""
    metric, strata = str(history.settings["metric"]), leaderboard.strata(history)
    confirmed = [(stratum, *confirmed_measures(history, stratum)[0][:2]) for stratum in strata if confirmed_measures(history, stratum)]
    leaders = [(stratum, trial) for stratum in strata if (trial := progress.best(history, stratum))]
    best = [(stratum, trial, measure) for stratum, trial in leaders if (measure := trial.measure(f"validation/{metric}"))]
    split = "test" if confirmed else "validation"
    lines = _baseline_lines(history, f"{split}/{metric}")
    if not confirmed and not best and not lines:
        return None
    compared = [y for name, points in lines.items() if not leaderboard.is_oracle(name) for _, y in points]
    scale = _scale([measure.value for _, _, measure in [*confirmed, *best]] + compared)
    if scale["type"] == "log":
        lines = {name: points for name, points in lines.items() if all(value > 0 for _, value in points)}
    axis = {"title": {"text": html.escape(metric)}, **scale}
    legend = {"orientation": "h", "yanchor": "top", "y": -0.22, "x": 0}
    figure = _figure(460, {"title": {"text": _label(history)}, "type": "category"}, axis, legend=legend)
    for index, (name, points) in enumerate(lines.items()):
        figure.add_trace(_baseline_trace(name, points, split, index))
    figure.add_trace(_points("best on validation", best, BLUE, "circle-open"))
    figure.add_trace(_points("confirmed on test", confirmed, ORANGE, "diamond"))
    figure.update_xaxes(categoryorder="array", categoryarray=strata)
    return figure


def _baseline_lines(history: History, name: str) -> dict[str, list[tuple[str, float]]]:
    lines: dict[str, list[tuple[str, float]]] = {}
    for line in history.baselines:
        if name in line.metrics and math.isfinite(line.metrics[name].value):
            lines.setdefault(line.name, []).append((line.stratum, line.metrics[name].value))
    return lines


def _baseline_trace(name: str, points: Sequence[tuple[str, float]], split: str, index: int) -> go.Scatter:
    dashes = ("dash", "dot", "dashdot", "longdash", "longdashdot")
    symbols = ("x-thin-open", "triangle-up-open", "square-open", "star-open", "hexagon-open", "triangle-down-open")
    return go.Scatter(
        x=[stratum for stratum, _ in points],
        y=[value for _, value in points],
        name=html.escape(name),
        mode="lines+markers",
        line={"color": GREY, "width": 1.2, "dash": dashes[index % len(dashes)]},
        marker={"symbol": symbols[index % len(symbols)], "size": 8, "color": GREY, "line": {"width": 1.2, "color": GREY}},
        hovertemplate=f"{html.escape(name)} on {split}<br>%{{x}}: %{{y:.4g}}<extra></extra>",
    )


def _points(name: str, found: Sequence[tuple[str, Trial, Any]], colour: str, symbol: str) -> go.Scatter:
    measures = [measure for _, _, measure in found]
    hover = [f"trial {trial.number}, {name}<br>{number(m.value)} [{number(m.low)}, {number(m.high)}], n = {m.n}" for _, trial, m in found]
    return go.Scatter(
        x=[stratum for stratum, _, _ in found],
        y=[measure.value for measure in measures],
        name=name,
        mode="markers",
        marker={"color": colour, "size": 16 if symbol.endswith("open") else 9, "symbol": symbol, "line": {"width": 2, "color": colour}},
        error_y={
            "type": "data",
            "symmetric": False,
            "array": [measure.high - measure.value for measure in measures],
            "arrayminus": [measure.value - measure.low for measure in measures],
            "color": colour,
            "thickness": 1.6,
        },
        hovertext=hover,
        hoverinfo="text",
    )


def curves(history: History) -> list[go.Figure]:
    """The objective on validation by step, one figure per stratum on a common scale; none where nothing was reported."""
    metric = leaderboard.objective(history)
    trials = [trial for trial in history.search_trials() if trial.reports]
    values = [report.metrics[metric].value for trial in trials for report in trial.reports if metric in report.metrics]
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return []
    scale = _scale(finite)
    spread = [min(finite), max(finite)]
    limits = [math.log10(x) for x in spread] if scale["type"] == "log" else spread
    margin = 0.05 * (limits[1] - limits[0]) or 0.05 * abs(limits[0]) or 0.1
    axis = {**scale, "range": [limits[0] - margin, limits[1] + margin], "title": {"text": html.escape(metric)}}
    return [_curves_of(history, stratum, axis) for stratum in leaderboard.strata(history)]


def _curves_of(history: History, stratum: str, axis: dict[str, Any]) -> go.Figure:
    budget = history.settings["steps"]
    title = f"{_label(history)} {html.escape(stratum)}" if history.settings["stratify"] else "all trials"
    figure = _figure(300, {"title": {"text": "step"}, "range": [0, budget * 1.03]}, axis, showlegend=False, title={"text": title, "x": 0.5})
    figure.update_layout(margin_t=60, title_y=0.97, title_yanchor="top", title_font_size=15)
    leader = progress.best(history, stratum)
    for trial in reversed(leaderboard.ranked(history, stratum)):
        if trial.reports:
            figure.add_trace(_curve(history, trial, best=trial is leader))
    trivial = best_trivial(history, stratum, "validation")
    if trivial:
        _add_reference(figure, f"{html.escape(trivial[0].name)}: {number(trivial[1].value)}", trivial[1].value, budget)
    return figure


def _add_reference(figure: go.Figure, hover: str, value: float, budget: int) -> None:
    """A dashed line at `value`, or its text above the plot where it lies beyond the scale, which is that of the trials."""
    low, high = figure.layout.yaxis.range
    at = value if figure.layout.yaxis.type == "linear" else math.log10(value) if value > 0 else -math.inf
    if not low <= at <= high:
        where = "below" if at < low else "above"
        text_at = {"xref": "paper", "yref": "paper", "x": 1, "xanchor": "right", "y": 1, "yanchor": "bottom"}
        figure.add_annotation(text=f"{where} this scale: {hover}", showarrow=False, **text_at)
        return
    line = go.Scatter(
        x=[0, budget], y=[value, value], mode="lines", line={"color": GREY, "dash": "dash"}, hovertext=hover, hoverinfo="text"
    )
    figure.add_trace(line)


def _curve(history: History, trial: Trial, best: bool) -> go.Scatter:
    metric = leaderboard.objective(history)
    points = [(report.step, report.metrics[metric].value) for report in trial.reports if metric in report.metrics]
    full = trial.status == "finished"
    reason = "<br>".join(map(html.escape, textwrap.wrap(progress.brief(trial.reason)[:160], 44)))
    about = f"trial {trial.number}{', the best' if best else ''}<br>{trial.status} at step {trial.step}" + (
        f"<br>{reason}" if reason else ""
    )
    colour = ORANGE if best else BLUE if full or trial.open else GREY
    last = {"stopped": "x", "failed": "x-open", "running": "triangle-right-open", "waiting": "triangle-right-open"}.get(
        trial.status, "circle"
    )
    return go.Scatter(
        x=[step for step, _ in points],
        y=[value if math.isfinite(value) else None for _, value in points],
        mode="lines+markers",
        opacity=1.0 if full or trial.open else 0.45,
        line={"color": colour, "width": 2.6 if best else 1.4, "dash": "dot" if trial.status == "failed" else "solid"},
        marker={
            "color": colour,
            "symbol": ["circle"] * (len(points) - 1) + [last],
            "size": [3] * (len(points) - 1) + [7],
            "line": {"width": 0},
        },
        hovertext=[f"{about}<br>step {step}: {number(value)}" for step, value in points],
        hoverinfo="text",
    )


def parameters(history: History) -> list[go.Figure]:
    """The objective on validation against each searched parameter, a colour and symbol per stratum, hollow before the whole budget."""
    metric = leaderboard.objective(history)
    trials = [trial for trial in history.search_trials() if math.isfinite(trial.value(metric))]
    names = list(dict.fromkeys(name for trial in trials for name in trial.params))
    scale = _scale(trial.value(metric) for trial in trials)
    return [_parameter(history, name, [trial for trial in trials if name in trial.params], scale) for name in names]


def _parameter(history: History, name: str, trials: Sequence[Trial], scale: dict[str, Any]) -> go.Figure:
    values = [trial.params[name] for trial in trials]
    numeric = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    continuous = numeric and any(isinstance(value, float) for value in values)
    strata = leaderboard.strata(history)
    x: dict[str, Any] = {
        "title": {"text": html.escape(name)},
        **(_scale(map(float, values), dense=60.0) if continuous else {"type": "category"}),
    }
    if not continuous:
        x["categoryorder"] = "array"
        x["categoryarray"] = list(dict.fromkeys(html.escape(text(value)) for value in (sorted(values) if numeric else values)))
    y = {"title": {"text": html.escape(leaderboard.objective(history))}, **scale}
    legend = {"orientation": "h", "yanchor": "bottom", "y": 1.0, "x": 0}
    figure = _figure(300, x, y, showlegend=len(strata) > 1, legend=legend)
    for index, stratum in enumerate(strata):
        chosen = [trial for trial in trials if trial.stratum == stratum]
        figure.add_trace(_scatter(history, name, stratum, chosen, index, continuous))
    return figure


def _scatter(history: History, name: str, stratum: str, trials: Sequence[Trial], index: int, continuous: bool) -> go.Scatter:
    metric, symbol = leaderboard.objective(history), SYMBOLS[index % len(SYMBOLS)]
    values = [trial.value(metric) for trial in trials]
    xs = [trial.params[name] if continuous else html.escape(text(trial.params[name])) for trial in trials]
    return go.Scatter(
        x=xs,
        y=values,
        name=html.escape(stratum),
        mode="markers",
        marker={
            "color": COLOURS[index % len(COLOURS)],
            "size": 8,
            "symbol": [symbol if trial.status == "finished" else f"{symbol}-open" for trial in trials],
            "opacity": [1.0 if trial.status == "finished" else 0.6 for trial in trials],
        },
        hovertext=[
            f"trial {trial.number}, {trial.status} at step {trial.step}<br>{html.escape(name)} = {x if isinstance(x, str) else text(x)}"
            f"<br>{number(value)}"
            for trial, x, value in zip(trials, xs, values, strict=True)
        ],
        hoverinfo="text",
    )
