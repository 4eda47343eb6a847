"""The log's trainings as configurations, and a larger network.

Source: the ARC training log of github dp-web4/HRM (338561b). Its steps are taken to be optimizer
steps, though it does not always say which it counts. Its intervals between validations, which train
nothing, are not repeated: here there are 20 in a run.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from leadline.config import ConfigError, TrialConfig
from trainables.arc_hrm.config import ArcHRMConfig

__all__ = [
    "ALL_PAD_ACCURACY",
    "BOARDS",
    "LOGGED",
    "LOGGED_RESULTS",
    "NETWORK",
    "PRESETS",
    "VALIDATION_EXAMPLES",
    "Logged",
    "LoggedResult",
]

BOARDS: dict[str, Any] = {"task": "arc", "size": 30, "train_boards": 4000, "augmentations": 500}
"""The fields of the boards of all presets."""

NETWORK: dict[str, Any] = {
    "hidden": 256,
    "heads": 8,
    "h_layers": 4,
    "l_layers": 3,
    "max_cycles": 8,
    "dropout": 0.1,
    "halt_threshold": 0.9,
    "halt_penalty": 0.01,
    "precision": "bfloat16",
}
"""The log's network."""

_LOG: dict[str, Any] = {
    **NETWORK,
    "pad": "class",
    "batch": 40,
    "micro_batch": 20,
    "lr": 3e-4,
    "weight_decay": 0.01,
    "clip": 1.0,
    "warmup": 0.0,
    "steps": 18_500,
}
"""The log's network and optimizer, with the batch of its sessions 2 and 3: 2 times 20."""

_RUNS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "session1": {"batch": 24, "micro_batch": 0, "steps": 7000},
        "session3": {},
        "session4": {"micro_batch": 8, "steps": 125_500},
        "session5": {
            "label_smoothing": 0.1,
            "schedule": "restarts",
            "restart_period": 20_000,
            "steps": 193_064,
        },
        "27m": {"hidden": 560, "heads": 10},
    }
)


def _shrunk(run: str, scale: float) -> TrialConfig:
    """Returns a run with steps, the period of restarts and the width's square scaled.

    The width is a multiple of twice the heads, and at least two of it. The batch and its
    micro-batches stay, since rows of a micro-batch stop together.

    Raises:
        ConfigError: if the scale is outside (0, 1].
    """
    if not 0 < scale <= 1:
        raise ConfigError(f"scale: must be above 0 and at most 1 (got {scale})")
    fields = {**_LOG, **BOARDS, **_RUNS[run]}
    unit = 2 * fields["heads"]
    fields["hidden"] = unit * max(2, round(fields["hidden"] * scale**0.5 / unit))
    fields["steps"] = max(1, round(fields["steps"] * scale))
    fields["eval_every"] = max(1, round(fields["steps"] / 20))
    if "restart_period" in fields:
        fields["restart_period"] = max(1, round(fields["restart_period"] * scale))
    return ArcHRMConfig(**fields)


PRESETS: Mapping[str, Callable[[float], TrialConfig]] = MappingProxyType(
    {run: functools.partial(_shrunk, run) for run in _RUNS}
)
"""The log's sessions, and `27m`.

`session1` has batches of 24, to the step of its best score. `session3` is the training of sessions
2 and 3. `session4` has 5 times 8 boards in a step. `session5` has smoothed labels and warm restarts
of the learning rate. `27m` is session 3 with a width of 560, of which the formula gives 27,038,493
trained numbers: the size that the log had planned.

What `27m` costs, measured on one thread of a shared CPU core in float32 with `recompute`: 27 s of
CPU time for the forward pass of one board, 48 s for the backward pass and 0.3 s for the optimizer,
in 4.1 GiB; a step of 40 boards is 50 minutes at that rate. For its micro-batches of 20 boards in
bfloat16 `leadline.training.memory_plan` counts a peak of 17.6 GiB, with torch's CPU kernels and
`dropout=0`, in which attention keeps no weights. No GPU was at hand.
"""


@dataclass(frozen=True)
class LoggedResult:
    """The share of cells, PAD among them, that a session had right at its best.

    Attributes:
        cells: the share; of session 4 the log gives a span, whose upper end this is.
        step: the step of that score, where the log gives it, else 0.
    """

    cells: float
    step: int


LOGGED_RESULTS: Mapping[str, LoggedResult] = MappingProxyType(
    {
        "session1": LoggedResult(0.71, 7000),
        "session3": LoggedResult(0.7136, 0),
        "session4": LoggedResult(0.71, 0),
        "session5": LoggedResult(0.7136, 7000),
    }
)
"""The log's validation accuracies, from its sections on the sessions."""
ALL_PAD_ACCURACY = 0.7136
"""The score of all PAD on the boards of the log, weighted as its augmentation weights them."""


@dataclass(frozen=True)
class Logged:
    """What else the log says of itself.

    Attributes:
        parameters, planned: the numbers of the network, and of the one that was meant.
        jetson, jetson_share: the accuracy on another machine, and how much of the boards it is of.
        session4_low: the lower end of session 4's accuracies.
        settled: the steps after which nothing improves.
        training, validation: its counts of examples.
        steps_a_second: the least and the most, of batches of `batch` rows.
        rows_a_second: its other figure of speed.
        hours: the hours that session 5 took, at least.
        validation_minutes: of a validation in session 1, once in `validation_steps` steps.
        fast_minutes: of a fast validation in session 5, once in `fast_steps` steps.
        full_minutes: of a full validation later on.
    """

    parameters: int = 6_950_000
    planned: int = 27_000_000
    jetson: float = 0.7132
    jetson_share: float = 0.72
    session4_low: float = 0.68
    settled: int = 10_000
    training: int = 3_880_000
    validation: int = 409_000
    batch: int = 20
    steps_a_second: tuple[int, int] = (10, 12)
    rows_a_second: int = 42
    hours: int = 8
    validation_minutes: int = 42
    validation_steps: int = 50
    fast_minutes: int = 3
    fast_steps: int = 10_000
    full_minutes: int = 50


LOGGED = Logged()
"""The log's other numbers."""
VALIDATION_EXAMPLES = 204_495
"""The examples that sapientinc/HRM's builder (42410da) makes of the evaluation queries of
ARC-AGI-1 with 500 augmentations; the log counts twice as many."""
