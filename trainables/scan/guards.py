"""The family's guards: on a score that plain networks do not reach, and on lost training."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, cast

import torch

from leadline.finding import Finding
from leadline.training.guards.aside import aside
from leadline.training.guards.guard import Guard, Interval, News
from trainables.scan.task import ScanTask

__all__ = ["BANDS", "BeyondReach", "ForgottenSteps"]

BANDS: Mapping[str, float] = MappingProxyType({"addprim_jump": 0.05, "length": 0.4})
"""The highest exact match, by split, that a plain network is believed to reach without a leak.

Lake and Baroni 2018 report 0.1 to 1 % and 14 to 21 % for recurrent networks.
"""
COMMANDS = 500
"""Test commands that the guard decodes."""


class BeyondReach(Guard):
    """Fires where exact match on a split's test exceeds what plain networks reach, by `BANDS`.

    Such a score comes from test commands, or augmented parts of them, that are also trained on; a
    model that is made to generalise would be more than plain. Validation is drawn from training
    commands and cannot show it, so the guard decodes some test commands itself, once, at the end of
    the budget, where no search can learn from them. The number is the score.

    Args:
        split: the name of the split, one of `BANDS`.
    """

    name = "beyond_reach"

    def __init__(self, split: str) -> None:
        self._split = split

    def report(self, interval: Interval) -> Iterable[Finding]:
        """Reports once, at the end; failed where the score's interval lies above the band."""
        if interval.step < interval.budget:
            return []
        with torch.no_grad(), aside(self.task.model, training=False):
            score = cast(ScanTask, self.task).exact("test", COMMANDS)
        failed = score.low > BANDS[self._split]
        sentence = (
            f"Exact match is {score.value:.3f} on {score.n} test commands of {self._split}; "
            f"plain networks stay below {BANDS[self._split]:g}"
        )
        hint = ": look for scored commands, or parts of them, among those trained on." if failed else "."
        return [Finding(self.name, failed, score.value, sentence + hint)]


class ForgottenSteps(Guard):
    """Demands that the optimizer remembers every step that was taken.

    Adam counts its steps, and a count below the trial's says that its state was thrown away on the
    way, as by a log that called `clear_session` in its loop. The number is how many steps it has
    forgotten.
    """

    name = "forgotten_steps"

    def __init__(self) -> None:
        self._news = News()

    def report(self, interval: Interval) -> Iterable[Finding]:
        """Compares the counts of the optimizers' states with the steps that are done."""
        counts = [
            float(state["step"])
            for optimizer in self.task.optimizers
            for state in optimizer.state.values()
            if "step" in state
        ]
        forgotten = interval.step - max(counts, default=0.0)
        sentence = f"The optimizer has forgotten {forgotten:.0f} of {interval.step} steps"
        more = ": its state was thrown away, and perhaps the model's." if forgotten else "."
        return self._news.of([Finding(self.name, forgotten > 0, forgotten, sentence + more)])

    def state_dict(self) -> dict[str, Any]:
        """Returns what was said."""
        return {"told": self._news.told}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores what `state_dict` returned."""
        self._news.told = dict(state["told"])
