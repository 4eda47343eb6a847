"""Gradient coverage: each part of a model must be trained, and not only now and then."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from leadline.finding import Finding
from leadline.task import Task
from leadline.training.guards.guard import Guard, Interval, News

__all__ = ["GradientCoverage", "submodules"]

COVERED = 0.9
"""Share of the steps below which a submodule receives gradients too rarely."""
ENOUGH = 16
"""Steps that must have been looked at before anything is said."""


def submodules(model: nn.Module) -> dict[str, list[str]]:
    """Groups the names of a model's parameters by the submodule under which they are watched.

    Submodules are the direct children; where the whole model lies in a single one, they are the
    children of that one. A parameter that no child holds stands for itself.
    """
    names = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    depth = 2 if len({name.partition(".")[0] for name in names}) == 1 else 1
    found: dict[str, list[str]] = {}
    for name, _ in model.named_parameters():
        path = name.split(".")
        found.setdefault(".".join(path[:depth]) if len(path) > depth else name, []).append(name)
    return found


def _received(gradient: Tensor) -> Tensor:
    """Whether a gradient is anything but zero: bool [] on its device."""
    return (gradient.coalesce().values() if gradient.is_sparse else gradient).any()


class GradientCoverage(Guard):
    """Watches how often each submodule gets a gradient that is not all zero.

    The number is the share of such steps among those on which the model gets one.

    Fires for a submodule below 0.9, and for a parameter that never gets one while its submodule
    does. Steps on which a parameter is frozen do not count for it. Counts are those of the whole
    trial: what was not trained early stays said. A parameter of one number is exempt, unless it is
    all that a submodule has: the output's bias cancels in a loss of differences.
    """

    name = "gradient_coverage"

    def __init__(self) -> None:
        self._looked: list[tuple[list[bool], Tensor]] = []
        self._parts: dict[str, list[int]] = {}
        self._parameters: dict[str, list[int]] = {}
        self._news = News()

    def started(self, task: Task) -> None:
        """Notes the parameters, in the model's order."""
        self._model = task.model
        self._trained = list(task.model.parameters())
        self._none = torch.zeros((), dtype=torch.bool, device=self._trained[0].device)

    def before_update(self, step: int) -> None:
        """Keeps, on the device, which parameters have a gradient."""
        flags = [self._none if parameter.grad is None else _received(parameter.grad) for parameter in self._trained]
        self._looked.append(([parameter.requires_grad for parameter in self._trained], torch.stack(flags)))

    def report(self, interval: Interval) -> Iterable[Finding]:
        """Reports on each submodule, then on each parameter of those that are covered."""
        if self._looked:
            trained = np.array([trained for trained, _ in self._looked])
            self._count(trained, torch.stack([flags for _, flags in self._looked]).cpu().numpy())
            self._looked.clear()
        return self._news.of(self._findings())

    def _count(self, trained: npt.NDArray[np.bool_], received: npt.NDArray[np.bool_]) -> None:
        """Adds to the counts of steps and of steps with a gradient.

        Args:
            trained: whether a parameter was not frozen, bool [looks, parameters].
            received: whether it had a gradient, bool [looks, parameters].
        """
        some = received.any(axis=1)
        trained, received = trained[some], received[some]
        place = {name: i for i, (name, _) in enumerate(self._model.named_parameters())}
        for part, names in submodules(self._model).items():
            own = [place[name] for name in names]
            _add(self._parts, part, received[:, own].any(axis=1).sum(), trained[:, own].any(axis=1).sum())
            for name, i in zip(names, own, strict=True):
                _add(self._parameters, name, received[:, i].sum(), trained[:, i].sum())

    def _findings(self) -> Iterator[Finding]:
        """Findings on all submodules and parameters, whether they are news or not."""
        for part, names in submodules(self._model).items():
            received, steps = self._parts.get(part, (0, 0))
            if steps < ENOUGH:
                continue
            failed = received < COVERED * steps
            yield _finding(part, received, steps, failed=failed)
            for name in [name for name in names if names != [part] and self._model.get_parameter(name).numel() > 1]:
                received, steps = self._parameters[name]
                yield _finding(name, received, steps, failed=not failed and steps >= ENOUGH and not received)

    def state_dict(self) -> dict[str, Any]:
        """Returns the counts, and what was said."""
        return {"parts": self._parts, "parameters": self._parameters, "told": self._news.told}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores what `state_dict` returned."""
        self._parts = {name: list(count) for name, count in state["parts"].items()}
        self._parameters = {name: list(count) for name, count in state["parameters"].items()}
        self._news.told = dict(state["told"])


def _add(counts: dict[str, list[int]], name: str, received: int, steps: int) -> None:
    """Adds to the two counts of a name: steps with a gradient, and steps."""
    before = counts.get(name, [0, 0])
    counts[name] = [before[0] + int(received), before[1] + int(steps)]


def _finding(subject: str, received: int, steps: int, *, failed: bool) -> Finding:
    sentence = f"{subject} received a gradient on {received} of {steps} steps looked at."
    return Finding(GradientCoverage.name, failed, received / steps if steps else 1.0, sentence, subject)
