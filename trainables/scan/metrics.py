"""The scores of answers.

One command is one independent unit, but for `held_out_rules`, whose units are pairs of rules: there
are few of them, and what is claimed of new rules is claimed of others like them.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from leadline.measure import Measure, Metric
from leadline.statistics import mean_over_units
from trainables.scan.grammar import PAD
from trainables.scan.rows import Rows, padding

__all__ = ["METRICS", "score"]

WHERE = "where the rule changes the answer; commands dealt to the rules in turn"
METRICS = (
    Metric("exact", "max", "commands", "share of commands whose whole answer is right, under the base rule"),
    Metric("tokens", "max", "commands", "mean over commands of the share of right actions, END included"),
    Metric("simple", "max", "commands", f"exact on new commands under one swap, {WHERE}"),
    Metric("complex", "max", "commands", f"exact on new commands under one rewrite or change of structure, {WHERE}"),
    Metric("novel", "max", "commands", f"exact on new commands under two rules that stages may train, {WHERE}"),
    Metric(
        "unseen_pairs",
        "max",
        "commands",
        f"exact on training commands under rules that they are not trained with, {WHERE}",
    ),
    Metric("held_out", "max", "commands", f"exact on new commands under two rules never trained together, {WHERE}"),
    Metric("held_out_rules", "max", "rules", "mean of held_out over those pairs of rules, of which each is one unit"),
)


def score(rows: Mapping[str, Rows], answers: Mapping[str, npt.NDArray[np.int64]]) -> dict[str, Measure]:
    """Scores answers to sets of rows.

    Args:
        rows: the rows by metric, as `trainables.scan.rows.scored` returns them.
        answers: by metric, int64 [rows, positions] with END and then PAD; -1 where there is none,
            as of weights that are no numbers: its score is then NaN.

    Returns:
        The metrics that there are answers to, `tokens` with `exact`, and `held_out_rules` with
        `held_out`.
    """
    found: dict[str, Measure] = {}
    for name, said in answers.items():
        valid = (said >= 0).all(1)
        width = max(said.shape[1], rows[name].actions.shape[1])
        wanted, got = padding(rows[name].actions, width), padding(said, width)
        exact = np.where(valid, (wanted == got).all(1), np.nan)
        found[name] = mean_over_units(exact, (0.0, 1.0))
        if name == "exact":
            right = ((wanted == got) & (wanted != PAD)).sum(1) / (wanted != PAD).sum(1)
            found["tokens"] = mean_over_units(np.where(valid, right, np.nan), (0.0, 1.0))
        elif name == "held_out":
            rules = rows[name].names
            pairs = [exact[rules == rule].mean() for rule in np.unique(rules)]
            found["held_out_rules"] = mean_over_units(pairs, (0.0, 1.0))
    return found
