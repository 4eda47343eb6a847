"""The guard on perturbations: noise must arrive as it was asked for.

It may be lost in rounding, or magnified by it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from leadline.finding import Finding
from leadline.task import Perturbation
from leadline.training.guards.guard import Guard, Interval, News

__all__ = ["EffectivePerturbation", "measured"]

TOLERANCE = 0.1
"""Difference from what was asked for, as a share of it, up to which the guard is content."""
CHANGED = 0.9
"""Share of the values that must change."""


def measured(before: Tensor, after: Tensor, asked: float | Tensor) -> Perturbation:
    """Measures what noise has done to a tensor.

    Args:
        before: the values without the noise, of any shape.
        after: the same values with the noise, as the model gets them, of the same shape.
        asked: the noise that was added, or its root mean square. With fewer than some thousand
            values give the noise itself: the root mean square of n draws scatters by 1/sqrt(2n) of
            it.

    Raises:
        ValueError: if the shapes differ or there are no values.
    """
    if before.shape != after.shape or not before.numel():
        raise ValueError(
            f"after: expected the shape of before, {list(before.shape)}, and some values; got {list(after.shape)}"
        )
    precision = torch.float64 if torch.float64 in (before.dtype, after.dtype) else torch.float32
    difference = after.detach().to(precision) - before.detach().to(precision)
    wanted = _rms(asked) if isinstance(asked, Tensor) else float(asked)
    return Perturbation(wanted, _rms(difference), float((difference != 0).double().mean()))


def _rms(values: Tensor) -> float:
    """The root mean square of a tensor."""
    return float(values.detach().double().square().mean().sqrt())


class EffectivePerturbation(Guard):
    """Demands that the noise which `Task.perturbations` reports has arrived.

    Its size must be within 10 %, and at least 90 % of the values must have changed.

    Sizes are root mean squares over the steps looked at since the report before. The number is
    effective over asked.
    """

    name = "perturbation"
    looks: ClassVar[int] = 4

    def __init__(self) -> None:
        self._looked: dict[str, list[Perturbation]] = {}
        self._news = News()

    def after_update(self, step: int) -> None:
        """Asks the task for the noise of the step."""
        for noise, found in self.task.perturbations().items():
            self._looked.setdefault(noise, []).append(found)

    def report(self, interval: Interval) -> Iterable[Finding]:
        """Reports on each noise."""
        looked, self._looked = self._looked, {}
        return self._news.of([_finding(noise, found) for noise, found in looked.items()])

    def state_dict(self) -> dict[str, Any]:
        """Returns what was said."""
        return {"told": self._news.told}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores what `state_dict` returned."""
        self._news.told = dict(state["told"])


def _finding(noise: str, found: list[Perturbation]) -> Finding:
    """The finding on one noise, by all that was seen of it since the report before."""
    asked = math.sqrt(math.fsum(one.asked**2 for one in found) / len(found))
    effective = math.sqrt(math.fsum(one.effective**2 for one in found) / len(found))
    noisy = [one.changed for one in found if one.asked > 0]
    changed = math.fsum(noisy) / len(noisy) if noisy else 1.0
    ratio = effective / asked if asked else (math.inf if effective else 1.0)
    failed = abs(effective - asked) > TOLERANCE * asked or changed < CHANGED
    sentence = f"{noise}: rms {asked:.3g} asked for, {effective:.3g} arrived; {changed:.1%} of the values changed."
    return Finding(EffectivePerturbation.name, failed, ratio, sentence, noise)
