"""The sentence with which a report opens: what predictors that learn nothing score.

A family may have its own, whose function it names, dotted, in `Family.opening`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from leadline.analysis import scores
from leadline.analysis.sweep import Sweep
from leadline.config import ConfigError
from leadline.dotted import load
from leadline.errors import told
from leadline.ledger import leaderboard
from leadline.ledger.leaderboard_table import number

__all__ = ["dotted", "first_sentence", "opening", "untrained"]


def dotted(sweep: Sweep) -> str:
    """Returns the dotted name of the family's own function; empty where it has none."""
    try:
        return sweep.settings.model_family().opening
    except ConfigError:
        return ""


def opening(sweep: Sweep) -> str:
    """Returns the family's sentence, or that of `untrained`, which is empty without any predictor.

    Whatever the family's function raises must not cost the report; it is said in brackets.
    """
    name = dotted(sweep)
    if not name:
        return untrained(sweep)
    try:
        return str(load(name, "opening")(sweep) or untrained(sweep))
    except Exception as error:
        return f"{untrained(sweep)} (opening: {told(error)})".strip()


def first_sentence(words: str) -> tuple[str, str]:
    """Returns the first sentence of a text, and the rest, which may be empty."""
    first, *rest = re.split(r"(?<=\w\.) (?=[A-Z])", words, maxsplit=1)
    return first, "".join(rest)


def untrained(sweep: Sweep) -> str:
    """Returns the best scores of predictors that learn nothing, by each metric that is shown."""
    history = sweep.history
    split = next((one for one in ("test", "validation") if _scored(sweep, one)), "")
    said = [words for name in scores.shown(history) if (words := _best(sweep, name, split))]
    return f"The best that learns nothing has, on {split}, {'; '.join(said)}." if said else ""


def _scored(sweep: Sweep, split: str) -> bool:
    """Tells whether a trivial predictor has a score on a split."""
    return any(name.startswith(f"{split}/") for line in sweep.history.baselines for name in line.metrics)


def _best(sweep: Sweep, name: str, split: str) -> str:
    """Returns the metric with its best trivial score, or the span of those of the strata."""
    strata = leaderboard.strata(sweep.history)
    found = [best for stratum in strata if (best := scores.trivial(sweep.history, stratum, name, split))]
    if not found:
        return ""
    values = [measure.value for _, measure in found]
    low, high = number(min(values)), number(max(values))
    return f"{name} {low if low == high else f'{low} to {high}'} ({_listed([label for label, _ in found])})"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(dict.fromkeys(names))
