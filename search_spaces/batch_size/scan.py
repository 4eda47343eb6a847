"""How large a batch should a network that answers commands be trained with?

The log's ladder is 64, 32, 16 and 8, which it came down because of memory.
"""

from __future__ import annotations

from leadline import Scale, Study
from search_spaces.scan import SMALL, TINY, space

__all__ = ["STUDY", "space"]


STUDY = Study(
    name="batch_size",
    question="How large a batch should a network that answers commands be trained with?",
    family="scan",
    space=space,
    stratify="batch",
    budget="samples",
    comparable=True,
    scales={
        "smoke": Scale(
            4,
            budget=2**9,
            grace=2**7,
            reduction=2,
            confirm=1,
            replicates=1,
            strata=(8, 32),
            startup=2,
            fields=TINY,
        ),
        "laptop": Scale(
            15,
            budget=2**16,
            grace=2**13,
            reduction=2,
            confirm=1,
            replicates=5,
            strata=(16, 64, 256),
            fields=SMALL,
        ),
        "full": Scale(
            60,
            budget=2**22,
            grace=2**18,
            reduction=2,
            confirm=1,
            replicates=5,
            strata=(8, 16, 32, 64, 256),
            fields={"width": 128, "model": "transformer"},
        ),
    },
)
