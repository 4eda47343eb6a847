"""The figures that a family brings to the reports of its sweeps.

The family names the function that makes them, dotted, in `Family.figures`.
"""

from __future__ import annotations

from dataclasses import dataclass

import plotly.graph_objects as go

from leadline.analysis.sweep import Sweep
from leadline.config import ConfigError
from leadline.dotted import load
from leadline.errors import in_one_line, told

__all__ = ["Figure", "of_family"]


@dataclass(frozen=True)
class Figure:
    """One figure of a family, as a report shows it.

    Attributes:
        title: the heading above it.
        text: what a reader sees in it, in a sentence or two of plain text.
        figure: the Plotly figure; its background is made transparent where it has the default one.
    """

    title: str
    text: str
    figure: go.Figure


def of_family(sweep: Sweep) -> tuple[list[Figure], str]:
    """Returns the figures that the family brings for a sweep.

    The second value says in one line why there are none, where the family failed to make them. A
    family that is not installed brings none, and whatever its function raises must not cost the
    report.
    """
    try:
        family = sweep.settings.model_family()
    except ConfigError:
        return [], ""
    if not family.figures:
        return [], ""
    try:
        found = list(load(family.figures, "figures")(sweep))
        if not all(isinstance(one, Figure) for one in found):
            raise ConfigError(f"figures: {family.figures} must return {Figure.__module__}.Figure objects")
    except Exception as error:
        words = in_one_line(error) if isinstance(error, ConfigError) else f"figures: {family.figures}: {told(error)}"
        return [], words
    for one in found:
        one.figure.update_layout(paper_bgcolor="rgba(0,0,0,0)", plot_bgcolor="rgba(0,0,0,0)", title=None)
    return found, ""
