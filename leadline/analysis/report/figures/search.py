"""Optuna's plots of a stratum's search, in the report's look.

These are the importance of parameters, and parallel coordinates.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import optuna
import plotly.graph_objects as go
from optuna.importance import PedAnovaImportanceEvaluator
from optuna.trial import TrialState
from optuna.visualization import plot_parallel_coordinate, plot_param_importances
from plotly.colors import find_intermediate_color, hex_to_rgb

from leadline.analysis import early_stopping, progress
from leadline.analysis.optuna_study import study
from leadline.analysis.palette import BLUE, GREY, ORANGE
from leadline.analysis.report.figures.base import figure, literal, stratum_name, stratum_title
from leadline.ledger.history import History
from leadline.plain import plural

__all__ = ["LEAST", "importance", "parallel"]

LEAST = 20
"""The number of trials with a comparable value below which an importance is noise."""
TARGETED = 5
"""The fewest trials in the best quantile, as Optuna's documentation of PED-ANOVA asks."""
LEAST_LINES = 3
"""The fewest trials that are drawn as parallel coordinates."""
NAMED = 60
"""The best trials that have a line each; those after them share one, as a browser is slow with
thousands."""
LETTER = 4
"""Pixels of margin for each letter of the first axis' labels, beside the room that Optuna
leaves."""
APART = 0.06
"""How far a label must be from the ends of its axis, as a share of it, so as not to cover
theirs."""


@contextmanager
def _quiet() -> Iterator[None]:
    """Silences Optuna's warnings.

    It warns of what is experimental, and of trials without values, which are left out on purpose.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _complete(made: optuna.Study) -> int:
    return len(made.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)))


def _compared(history: History, stratum: str, least: int) -> tuple[optuna.Study, int, str]:
    """Returns the study of a stratum, the number of trials compared, and where, in words.

    They are compared at the whole budget; at the first rung where fewer than `least` finished.
    """
    made = study(history, stratum)
    first = next(iter(early_stopping.rungs(history)), None)
    if _complete(made) >= least or first is None:
        return made, _complete(made), "at the whole budget"
    early = study(history, stratum, at=first)
    return early, _complete(early), f"at the first rung ({first:,} {progress.unit(history)})"


def importance(history: History, stratum: str) -> tuple[go.Figure | None, str]:
    """Computes how important each searched parameter is for being among a stratum's best trials.

    The method is PED-ANOVA (Watanabe et al. 2023). It uses the finished trials; where they are
    fewer than `LEAST`, all trials at the first rung.

    Returns:
        the figure, or None where the trials are too few to say anything; and in words what it rests
            on, or what is missing.
    """
    made, count, where = _compared(history, stratum, LEAST)
    title, name = stratum_title(history, stratum), stratum_name(history, stratum)
    if count < LEAST:
        return None, f"{name}: {plural(count, 'trial')} with a value {where}; importance needs {LEAST}."
    with _quiet():
        try:
            plot = plot_param_importances(
                made, evaluator=PedAnovaImportanceEvaluator(target_quantile=max(0.1, TARGETED / count))
            )
        except (ValueError, RuntimeError):
            return None, f"{name}: the {count} trials {where} tell no parameter from another."
    return _bars(plot, title), f"{name}: {plural(count, 'trial')} {where}."


def _bars(plot: go.Figure, title: str) -> go.Figure:
    bars = plot.data[0]
    made = figure(
        110 + 26 * len(bars.x),
        {"title": {"text": "importance"}, "range": [0, 1.12 * max(max(bars.x), 1e-9)]},
        {"type": "category"},
    )
    made.update_layout(title={"text": title, "x": 0.5, "font": {"size": 15}}, showlegend=False)
    names = [literal(name) for name in bars.y]
    hover = [f"{name}: {share:.3f}" for name, share in zip(names, bars.x, strict=True)]
    look = {"text": bars.text, "textposition": "outside", "cliponaxis": False, "marker": {"color": BLUE}}
    made.add_trace(go.Bar(x=bars.x, y=names, orientation="h", hovertext=hover, hoverinfo="text", **look))
    return made


def parallel(history: History, stratum: str) -> tuple[go.Figure | None, str]:
    """Draws parallel coordinates of a stratum's trials, the best of those last and thick.

    It uses the finished trials; where they are fewer than `LEAST_LINES`, all trials at the first
    rung.

    Returns:
        the figure, or None where fewer than `LEAST_LINES` trials can be compared, or all have one
            value; and in words what is drawn.
    """
    made, count, where = _compared(history, stratum, LEAST_LINES)
    title, name = stratum_title(history, stratum), stratum_name(history, stratum)
    if count < LEAST_LINES:
        return None, f"{name}: {plural(count, 'trial')} with a value {where}."
    with _quiet():
        plot = plot_parallel_coordinate(made, target_name=literal(f"{history.settings.metric} {where}"))
    lines = [trace for trace in plot.data if trace.mode == "lines"]
    if not lines:
        return None, f"{name}: nothing was searched."
    if len({trial.value for trial in made.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))}) == 1:
        return None, f"{name}: all {plural(count, 'trial')} {where} have the same value, so none is the best."
    return _lines(
        plot, lines, title, minimise=history.settings.mode == "min"
    ), f"{name}: {plural(count, 'trial')} {where}."


def _lines(plot: go.Figure, lines: list[go.Scatter], title: str, *, minimise: bool) -> go.Figure:
    """Returns Optuna's lines, axes and labels on the report's background.

    The lines go from grey for the worst to orange for the best.
    """
    x = plot.layout.xaxis.to_plotly_json()
    x |= {
        "ticktext": [text if index == 0 else literal(text) for index, text in enumerate(x["ticktext"])],
        "fixedrange": True,
    }
    made = figure(330, x, plot.layout.yaxis.to_plotly_json(), shapes=plot.layout.shapes)
    left = max((len(note.text) for note in plot.layout.annotations if note.x == 0), default=0)
    made.update_layout(
        title={"text": title, "x": 0.01, "font": {"size": 15}}, margin={"l": 8 + LETTER * left, "r": 8, "t": 40, "b": 8}
    )
    for note in plot.layout.annotations:
        if note.y in (0, 1) or APART <= note.y <= 1 - APART:
            at = {"x": note.x, "y": note.y, "xanchor": "right", "xshift": -4, "showarrow": False}
            made.add_annotation(text=literal(note.text), font={"size": 10}, **at)
    order = sorted(lines, key=lambda line: -line.y[0] if minimise else line.y[0])
    if rest := order[:-NAMED]:
        made.add_trace(_together(rest))
    for line in order[-NAMED:]:
        share = 1 - line.y[0] if minimise else line.y[0]
        best = line is order[-1]
        cells = "<br>".join(literal(": ".join(map(str, cell))) for cell in line.customdata)
        look = {"color": _between(share), "width": 3 if best else 1.4}
        made.add_trace(
            go.Scatter(
                x=line.x,
                y=line.y,
                mode="lines",
                line=look,
                opacity=1 if best else 0.75,
                hovertext=cells,
                hoverinfo="text",
            )
        )
    made.update_layout(showlegend=False)
    return made


def _together(lines: list[go.Scatter]) -> go.Scatter:
    """Returns one trace for the lines of many trials."""
    x: list[float | None] = []
    y: list[float | None] = []
    said: list[str] = []
    for line in lines:
        cells = [literal(": ".join(map(str, cell))) for cell in line.customdata]
        x += [*line.x, None]
        y += [*line.y, None]
        said += [cells[0], *(f"{cells[0]}<br>{cell}" for cell in cells[1 : len(line.x)]), ""]
    look = {"color": GREY, "width": 1}
    return go.Scatter(x=x, y=y, mode="lines", line=look, opacity=0.3, hovertext=said, hoverinfo="text")


def _between(share: float) -> str:
    low, high = hex_to_rgb(GREY), hex_to_rgb(ORANGE)
    red, green, blue = find_intermediate_color(low, high, float(share))
    return f"rgb({red:.0f},{green:.0f},{blue:.0f})"
