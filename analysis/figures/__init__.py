"""The report's figures, each a Plotly figure from a history alone."""

from __future__ import annotations

from analysis.figures.answer import answer
from analysis.figures.curves import curves
from analysis.figures.parameters import parameters
from analysis.figures.search import importance, parallel

__all__ = ["answer", "curves", "importance", "parallel", "parameters"]
