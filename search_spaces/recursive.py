"""The sizes and the parts of search spaces that the studies of the recursive families share.

They are fields of `RecursiveConfig`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from search_spaces import grids
from trainables.recursive.presets import ETRM_FIELDS, HRM_FIELDS, TRM_FIELDS

__all__ = ["EARLY_LOOK", "PUBLISHED", "SMALL", "TINY", "band", "optimisation", "sizes"]

SMALL: Mapping[str, Any] = {
    "size": 4,
    "ema": 0.9,
    "train_boards": 2000,
    "validation_boards": 512,
    "test_boards": 512,
}
"""The fields of a small trial, on sudokus of side 4.

Nine tenths of the boards are solved after 32,768 samples under parallel_fixed, 20 s on one core.
The average is short, as large batches have few steps.
"""

TINY: Mapping[str, Any] = {**SMALL, "train_boards": 500, "validation_boards": 64, "test_boards": 128}
"""The fields of a trial that only shows that all parts work.

It is scored in a second, and has too few boards for any claim.
"""

_ENCODED: Mapping[str, Any] = {
    "demonstrations": 2,
    "pooling": "attention",
    "encoder_layers": 1,
    "round_to": 64,
    "loss": "softmax",
}
"""A small encoder-based network.

It attends to all tokens of its demonstrations, which learns faster than their mean.
"""

SEARCHED = ("batch", "lr", "weight_decay")

PUBLISHED: Mapping[str, Mapping[str, Any]] = {
    family: {**{name: value for name, value in fields.items() if name not in SEARCHED}, "micro_batch": "auto"}
    for family, fields in (
        ("hrm", HRM_FIELDS),
        ("trm", TRM_FIELDS),
        ("etrm", {**ETRM_FIELDS, **grids.FULL, "demonstrations": 2}),
    )
}
"""The published settings by family, without what is searched.

They are those on 9x9 Sudoku, with attention (Wang et al. and Jolicoeur-Martineau 2025), and those
of ETRM's log, on smaller grids. Micro-batches are as large as fits.
"""

CENTRES = (1e-5, 1e-1)
"""The standard deviations between which a band's centre is searched.

They are the ends of the ladder that robustness is measured on.
"""
WIDTHS = (0.5, 3.0)
"""The decades from sigma_min to sigma_max between which a band's width is searched (log: 2)."""


EARLY_LOOK: Mapping[str, Any] = {"trials": 6, "budget": 256, "grace": 128, "reduction": 2, "startup": 2}
"""The fields of a `Scale` of three strata on grids, whose steps are dear, that a laptop takes."""


def sizes(family: str) -> tuple[Mapping[str, Any], Mapping[str, Any], Mapping[str, Any]]:
    """Returns the fields of a family's trials at the scales smoke, laptop and full."""
    if family == "etrm":
        narrow = {"hidden": 16, "heads": 2, "round_to": 16, "context_tokens": 4}
        return {**grids.TINY, **_ENCODED, **narrow}, {**grids.SMALL, **_ENCODED}, PUBLISHED[family]
    return TINY, SMALL, PUBLISHED[family]


def optimisation(trial: Any, scale: str) -> dict[str, Any]:
    """Suggests what every study of the recursive families searches.

    Args:
        trial: an object with Optuna's `suggest_*` methods.
        scale: "full" searches learning rates for the published widths, the others for one that
            trains in seconds.
    """
    low, high = (1e-5, 1e-3) if scale == "full" else (3e-4, 1e-2)
    return {
        "lr": trial.suggest_float("lr", low, high, log=True),
        "weight_decay": trial.suggest_float("weight_decay", 0.01, 1.0, log=True),
    }


def band(trial: Any) -> dict[str, Any]:
    """Suggests `sigma_min` and `sigma_max` by the band's centre and width.

    `sigma_centre` is in log space, `sigma_width` in decades, so that `sigma_min` is always below
    `sigma_max`. Where one end is fixed, the width decides the other. Noise of a fixed size has a
    centre alone, and a grid has no band.
    """
    fixed, noise = trial.fixed, trial.fixed.get("noise", "loguniform")
    low, high = fixed.get("sigma_min"), fixed.get("sigma_max")
    if noise == "grid" or (high is not None and (noise == "fixed" or low is not None)):
        return {}
    if noise == "fixed":
        return {"sigma_max": trial.suggest_float("sigma_centre", *CENTRES, log=True)}
    ratio = 10 ** trial.suggest_float("sigma_width", *WIDTHS)
    if low is not None:
        return {"sigma_max": low * ratio}
    if high is not None:
        return {"sigma_min": high / ratio}
    centre = trial.suggest_float("sigma_centre", *CENTRES, log=True)
    return {"sigma_min": centre / ratio**0.5, "sigma_max": centre * ratio**0.5}
