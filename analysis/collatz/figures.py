"""The figures of this package, each one self-contained HTML file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.io import to_html
from plotly.subplots import make_subplots

from analysis import page
from analysis.collatz.attribution import Attribution
from analysis.collatz.failures import Steps, steps_of
from analysis.collatz.subject import Subject
from leadline.analysis.palette import BLUE, GREY, GRID, ORANGE
from trainables.collatz.features import F64
from trainables.collatz.metrics import margins, relative

__all__ = ["attribution_figure", "margins_figure", "write"]

WORST = 5  # test orbits that are drawn
ROW = 210  # pixels of an orbit's row


def write(path: Path, title: str, text: str, figure: go.Figure) -> None:
    """Writes a figure with a title and a sentence, as plain text, into a file that needs no other.

    Raises:
        ConfigError: if the file cannot be written.
    """
    options = {"responsive": True, "displayModeBar": False}
    page.write(path, title, text, to_html(figure, full_html=False, include_plotlyjs=True, config=options))


def _styled(figure: go.Figure, height: int) -> go.Figure:
    figure.update_layout(
        template=go.layout.Template(),
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"family": "system-ui, sans-serif", "size": 12, "color": GREY},
        margin={"l": 8, "r": 8, "t": 96, "b": 8},
        height=height,
        legend={"orientation": "h", "x": 0, "y": 1, "yref": "container", "yanchor": "top"},
    )
    figure.update_annotations(x=0, xanchor="left", font={"size": 13})
    figure.update_xaxes(gridcolor=GRID, linecolor=GRID, zerolinecolor=GRID, automargin=True)
    figure.update_yaxes(gridcolor=GRID, linecolor=GRID, zerolinecolor=GREY, automargin=True)
    return figure


def margins_figure(subject: Subject) -> go.Figure:
    """Draws margins over the mean |margin| along the five logged orbits, then along test orbits.

    These are the test orbits with most violations. In the shaded part of an orbit the input
    contains the answer.
    """
    drawn = [*_chosen(subject, "logged", None), *_chosen(subject, "test", WORST)]
    figure = make_subplots(
        rows=len(drawn), cols=1, subplot_titles=[title for title, _, _ in drawn], vertical_spacing=0.3 / len(drawn)
    )
    for row, (_, steps, lines) in enumerate(drawn, start=1):
        for name, colour, values in zip(("network", "zero-parameter sum"), (ORANGE, BLUE), lines, strict=True):
            figure.add_trace(_line(name, colour, values, steps, first=row == 1), row=row, col=1)
        if (covered := np.flatnonzero(steps.remaining <= subject.config.lookahead)).size:
            figure.add_vrect(
                x0=covered[0] - 0.5, x1=covered[-1] + 0.5, fillcolor=GREY, opacity=0.15, line_width=0, row=row, col=1
            )
    figure.update_xaxes(title_text="steps from the seed", row=len(drawn), col=1)
    return _styled(figure, ROW * len(drawn))


def _line(name: str, colour: str, values: F64, steps: Steps, first: bool) -> go.Scatter:
    bad = ~(values > 0)
    hover = [
        f"step {place}, log10(n) = {size:.2f}<br>{left} steps to 1{word}<br>{name}: {value:.3g}"
        for place, size, left, word, value in zip(
            steps.place, steps.log10, steps.remaining, _words(steps), values, strict=True
        )
    ]
    return go.Scatter(
        x=steps.place.tolist(),
        y=[float(value) if np.isfinite(value) else None for value in values],
        name=name,
        legendgroup=name,
        showlegend=first,
        mode="lines+markers",
        line={"color": colour, "width": 1.2},
        marker={
            "color": colour,
            "size": np.where(bad, 8, 3).tolist(),
            "symbol": np.where(bad, "x", "circle").tolist(),
            "line": {"width": 0},
        },
        hovertext=hover,
        hoverinfo="text",
    )


def _words(steps: Steps) -> list[str]:
    """Returns what a hover adds where training may touch a step."""
    return [
        "" if guarded else ", unguarded" if own else ", leaked"
        for guarded, own in zip(steps.guarded, steps.private, strict=True)
    ]


def _chosen(subject: Subject, split: str, worst: int | None) -> list[tuple[str, Steps, list[F64]]]:
    """Returns title, steps and margins (network, sum) of orbits.

    They are all orbits, or the `worst` by violations and then by margin.
    """
    rows, steps = subject.data.scored(split), steps_of(subject.data, split)
    network, formula = (relative(margins(rows, potential)) for potential in (subject.potential(), subject.formula()))
    counts = [int((~(m > 0)).sum()) for m in network]
    order = sorted(range(len(counts)), key=lambda o: (-counts[o], float(np.nan_to_num(network[o]).min())))[:worst]
    found = []
    for o in range(len(counts)) if worst is None else order:
        own = steps.orbit == o
        part = Steps(**{name: values[own] for name, values in vars(steps).items()})
        other = int((~(formula[o] > 0)).sum())
        title = f"{split} {rows.seeds[o]}: {counts[o]}/{len(part.place)}, sum {other}"
        found.append((title, part, [network[o], formula[o]]))
    return found


def attribution_figure(found: Attribution) -> go.Figure:
    """Draws dV/dk_i over the slope, and |gradient x input|, by position, beside the formula's."""
    at = [position.i for position in found.positions]
    scale = found.slope if found.slope > 0 else np.nan
    titles = ["dV/dk_i, scaled to the formula", "mean |gradient x input|, scaled"]
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, subplot_titles=titles, vertical_spacing=0.12)
    others = [position.formula_attribution.value for position in found.positions]
    figure.add_trace(_reference(at, [position.formula for position in found.positions]), row=1, col=1)
    figure.add_trace(_reference(at, others, legend=False), row=2, col=1)
    figure.add_trace(
        _profile("network, drift included", GREY, at, [position.total for position in found.positions]), row=1, col=1
    )
    bars = [_bounds(position.gradient, scale) for position in found.positions]
    figure.add_trace(
        _profile("network", ORANGE, at, [position.scaled for position in found.positions], bars), row=1, col=1
    )
    own = [position.attribution.value / scale for position in found.positions]
    bars = [_bounds(position.attribution, scale) for position in found.positions]
    figure.add_trace(_profile("network", ORANGE, at, own, bars, legend=False), row=2, col=1)
    figure.update_xaxes(title_text="position i in the window", row=2, col=1)
    return _styled(figure, 640)


def _reference(x: list[int], y: list[float], legend: bool = True) -> go.Scatter:
    """Draws the formula's line, broad enough to show on both sides of an equal network's."""
    line = _profile("formula", BLUE, x, y, legend=legend)
    return line.update(mode="lines", line={"color": BLUE, "width": 7}, opacity=0.6)


def _bounds(measure: Any, scale: float) -> tuple[float, float]:
    return (measure.value - measure.low) / scale, (measure.high - measure.value) / scale


def _profile(
    name: str,
    colour: str,
    x: list[int],
    y: list[float],
    bars: list[tuple[float, float]] | None = None,
    legend: bool = True,
) -> go.Scatter:
    error = None
    if bars:
        error = {
            "type": "data",
            "symmetric": False,
            "array": [b for _, b in bars],
            "arrayminus": [a for a, _ in bars],
            "thickness": 1,
        }
    return go.Scatter(
        x=x,
        y=y,
        name=name,
        legendgroup=name,
        showlegend=legend,
        mode="lines+markers",
        line={"color": colour, "width": 1.6},
        marker={"size": 4, "line": {"width": 0}},
        error_y=error,
        hovertemplate=f"{name}<br>i = %{{x}}: %{{y:.4g}}<extra></extra>",
    )
