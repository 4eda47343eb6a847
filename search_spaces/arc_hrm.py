"""The sizes that the studies of the HRM-style network share: fields of `ArcHRMConfig`.

Its boards are the sudokus of HRM and TRM wherever the board alone must tell what is asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from search_spaces import recursive
from trainables.arc_hrm.presets import NETWORK
from trainables.recursive.presets import SUDOKU

__all__ = ["LARGE", "NARROW", "SMALL", "TINY"]

NARROW: Mapping[str, Any] = {"hidden": 16, "heads": 2, "max_cycles": 2}
"""A network that only shows that all parts work."""
SMALL: Mapping[str, Any] = {name: value for name, value in recursive.SMALL.items() if name != "ema"}
"""A small trial."""
TINY: Mapping[str, Any] = {**{name: recursive.TINY[name] for name in SMALL}, **NARROW}
"""A trial that only shows that all parts work."""
LARGE: Mapping[str, Any] = {**SUDOKU, **NETWORK}
"""The log's network on the sudokus of HRM's and TRM's published runs."""
