"""The sweep that `benchmarks.durability` looks into: the lookahead study at the laptop's size, over the family that keeps times.

LEADLINE_TIMES=FOLDER python -m benchmarks._timed_sweep --storage FOLDER
"""

from __future__ import annotations

import dataclasses

from sweeps.engine import main
from sweeps.lookahead import STUDY as LOOKAHEAD

STUDY = dataclasses.replace(LOOKAHEAD, name="timed", family="benchmarks.timed_family:TIMED")

if __name__ == "__main__":
    main(STUDY, __doc__ or "")
