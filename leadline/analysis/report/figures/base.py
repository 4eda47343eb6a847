"""The parts that all figures share.

Backgrounds are transparent, so that light and dark pages both carry them.

Texts that come from the ledger pass through `literal`, because Plotly reads a subset of HTML in
hover texts, names and tick labels. In a template it would also read `%{...}`, so no template holds
such a text.
"""

from __future__ import annotations

import html
import math
from collections.abc import Iterable
from typing import Any

import plotly.graph_objects as go

from leadline.analysis.palette import COLOURS, GREY, GRID
from leadline.ledger import leaderboard
from leadline.ledger.history import History

__all__ = ["SYMBOLS", "figure", "label", "literal", "look", "scale", "stratum_name", "stratum_title"]

SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "star", "hexagon")
LOG_RATIO = 10.0


def scale(values: Iterable[float], dense: float = 1000.0) -> dict[str, Any]:
    """Returns the properties of an axis for some values.

    It is logarithmic where all finite values are positive and span more than a factor of 10, with
    labels at 1, 2 and 5 where they span less than a factor of `dense`.
    """
    finite = [value for value in values if math.isfinite(value)]
    if not finite or min(finite) <= 0 or max(finite) <= LOG_RATIO * min(finite):
        return {"type": "linear"}
    return {"type": "log", "tickformat": "~g", "dtick": "D2" if max(finite) < dense * min(finite) else 1}


def figure(height: int, x: dict[str, Any], y: dict[str, Any], **layout: Any) -> go.Figure:
    """Returns an empty figure of the report's look.

    Args:
        height: the height in pixels; the width is the page's.
        x: properties of the x axis.
        y: properties of the y axis.
        layout: further properties of the layout.
    """
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


def literal(text: object) -> str:
    """Returns a text that Plotly shows as it stands.

    Quotes stay, since Plotly does not know their entities.
    """
    return html.escape(str(text), quote=False)


def look(history: History, stratum: str) -> tuple[str, str]:
    """Returns a stratum's colour and symbol, which are the same in all figures of a page."""
    place = leaderboard.strata(history).index(stratum)
    return COLOURS[place % len(COLOURS)], SYMBOLS[place % len(SYMBOLS)]


def label(history: History) -> str:
    """Returns the name of the stratifying field, escaped."""
    return literal(history.settings.stratify or "stratum")


def stratum_name(history: History, stratum: str) -> str:
    """Returns `lookahead 100`, as it stands in the ledger.

    Where the sweep is not stratified it is `all trials`.
    """
    return f"{history.settings.stratify} {stratum}" if history.settings.stratify else "all trials"


def stratum_title(history: History, stratum: str) -> str:
    """Returns what `stratum_name` returns, escaped."""
    return literal(stratum_name(history, stratum))
