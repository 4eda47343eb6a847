"""The report's figures, each a Plotly figure from a history alone."""

from __future__ import annotations

from analysis.figures.answer import answer, has_front
from analysis.figures.curves import curves
from analysis.figures.ladder import ladders
from analysis.figures.parameters import parameters
from analysis.figures.search import importance, parallel

__all__ = ["answer", "curves", "has_front", "importance", "ladders", "parallel", "parameters"]
