"""The claims of the notes that the recursive families come from.

The notes' numbers stand in `trainables.recursive.presets`, and nowhere here.
"""

from __future__ import annotations

from leadline.analysis.claims import Claim, arms, no_gain
from trainables.recursive.presets import LOGGED_BOARDS, LOGGED_EVALUATIONS, LOGGED_RESULTS

__all__ = ["HRM_CLAIMS", "TRM_CLAIMS"]

_NOTES = "trajectory augmentation notes"
_PAIR = ("sigma_bands", "sigma band (parallel_fixed)", "no noise (parallel_fixed)")
_NEEDS = "a sigma_bands sweep of this family with noise and control under parallel_fixed"
_DECAY = "runs that go on long after their best, from half-trained models"
_MARGIN = 0.01


def _best(family: str) -> str:
    """Returns the best accuracies of a family's two runs, and what they rest on."""
    noisy, plain = LOGGED_RESULTS[family]
    each = f"each the best of {LOGGED_EVALUATIONS} evaluations of one run on {LOGGED_BOARDS} boards"
    return f"exact accuracy {noisy.best:.4f} against {plain.best:.4f}: {each}, less than a standard error apart"


def _decay(family: str) -> str:
    """Returns the best and last accuracies of a family's two runs."""
    noisy, plain = LOGGED_RESULTS[family]
    return f"{noisy.best:.4f} to {noisy.last:.4f} against {plain.best:.4f} to {plain.last:.4f}"


TRM_CLAIMS = (
    Claim(
        f"{_NOTES}, TRM",
        "Noise got a higher best.",
        _best("trm"),
        _NEEDS,
        arms(*_PAIR, "exact"),
    ),
    Claim(
        f"{_NOTES}, TRM",
        "Noise got a much less bad final decay.",
        _decay("trm"),
        _DECAY,
        lambda sweep: None,
    ),
)

HRM_CLAIMS = (
    Claim(
        f"{_NOTES}, HRM",
        "Noise got no gain in best accuracy.",
        _best("hrm"),
        _NEEDS,
        no_gain(*_PAIR, "exact", _MARGIN),
    ),
    Claim(
        f"{_NOTES}, HRM",
        "Under noise final accuracy decayed slightly less.",
        _decay("hrm"),
        _DECAY,
        lambda sweep: None,
    ),
)
