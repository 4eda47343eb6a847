"""The colours of all figures, of medium lightness, so that they suit light and dark pages."""

from __future__ import annotations

__all__ = ["BLUE", "COLOURS", "GREY", "GRID", "ORANGE"]

BLUE = "#3d8fd6"
ORANGE = "#df7f1c"
GREY = "#8c8c8c"
COLOURS = (BLUE, ORANGE, "#2aa187", "#c667ab", "#a3932b", "#8f7be0", "#cf5c5c")
"""The colours of strata, in order."""
GRID = "rgba(128,128,128,0.25)"
"""The colour of the lines behind a figure."""
