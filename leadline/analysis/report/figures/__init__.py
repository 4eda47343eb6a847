"""The report's figures; each is a Plotly figure that is made from a history alone."""

from __future__ import annotations

from leadline.analysis.report.figures.answer import answer
from leadline.analysis.report.figures.curves import curves
from leadline.analysis.report.figures.family import Figure, of_family
from leadline.analysis.report.figures.ladder import ladders
from leadline.analysis.report.figures.parameters import parameters
from leadline.analysis.report.figures.search import importance, parallel

__all__ = ["Figure", "answer", "curves", "importance", "ladders", "of_family", "parallel", "parameters"]
