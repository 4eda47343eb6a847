"""Published settings as configurations.

They are HRM and TRM on Sudoku-Extreme, and the log's fine-tunes of them. The boards are generated
ones of side 9: Sudoku-Extreme itself is not part of this package, so that published scores are no
target. Sources: the READMEs and configurations of github sapientinc/HRM (42410da) and
SamsungSAILMontreal/TinyRecursiveModels (e7b6871); the log's "Current Long Runs"
(git.blackhao.com/rrm.git, 66e0d8b).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from leadline.config import ConfigError, TrialConfig
from trainables.recursive.config import HRMConfig, TRMConfig

__all__ = [
    "HRM_FIELDS",
    "HRM_PRESETS",
    "LOGGED_BOARDS",
    "LOGGED_ENCODER",
    "LOGGED_EVALUATIONS",
    "LOGGED_RESULTS",
    "TRM_FIELDS",
    "TRM_PRESETS",
    "LoggedEncoder",
    "LoggedResult",
]

LEAST_WIDTH = 32

_BOARDS: dict[str, Any] = {
    "task": "sudoku",
    "size": 9,
    "train_boards": 1000,
    "validation_boards": 1024,
    "test_boards": 2048,
}
_COMMON: dict[str, Any] = {
    **_BOARDS,
    "hidden": 512,
    "heads": 8,
    "positions": "rope",
    "puzzle_emb": 512,
    "halt_max_steps": 16,
    "explore": 0.1,
    "weight_decay": 1.0,
    "puzzle_weight_decay": 1.0,
    "puzzle_lr": 1e-4,
    "schedule": "constant",
}
HRM_FIELDS: dict[str, Any] = {
    **_COMMON,
    "h_layers": 4,
    "l_layers": 4,
    "h_cycles": 2,
    "l_cycles": 2,
    "ema": 0.0,
    "batch": 384,
    "lr": 7e-5,
    "puzzle_lr": 7e-5,
}
TRM_FIELDS: dict[str, Any] = {
    **_COMMON,
    "l_layers": 2,
    "h_cycles": 3,
    "l_cycles": 6,
    "puzzle_tokens": 16,
    "ema": 0.999,
    "batch": 768,
    "lr": 1e-4,
}
_MIXER: dict[str, Any] = {**TRM_FIELDS, "mlp_t": True, "positions": "none"}
_LOG: dict[str, Any] = {
    "rollout": "parallel_fixed",
    "ramp": 0.1,
    "sigma_min": 3e-5,
    "sigma_max": 3e-3,
    "noise": "loguniform",
    "k": 4,
}
_STEPS = {"hrm": 52_083, "trm": 65_104, "log": 50_000}
WARMUP = 2000
"""The warm-up's optimizer steps in all published runs."""


def _shrunk(
    kind: type[HRMConfig] | type[TRMConfig], fields: Mapping[str, Any], steps: int, scale: float
) -> TrialConfig:
    """Returns a configuration with steps, batch and the width's square scaled.

    The width is at least 32 and a multiple of 16, which is twice the number of heads.

    Raises:
        ConfigError: if the scale is outside (0, 1].
    """
    if not 0 < scale <= 1:
        raise ConfigError(f"scale: must be above 0 and at most 1 (got {scale})")
    warmup = min(1.0, WARMUP / steps)
    steps = max(1, round(steps * scale))
    width = max(LEAST_WIDTH, round(fields["hidden"] * scale**0.5 / 16) * 16)
    small = {"hidden": width, "puzzle_emb": width, "batch": max(1, round(fields["batch"] * scale)), "steps": steps}
    return kind(**{**fields, **small, "eval_every": max(1, round(steps / 20)), "warmup": warmup})


HRM_PRESETS: Mapping[str, Callable[[float], TrialConfig]] = MappingProxyType(
    {
        "sudoku": functools.partial(_shrunk, HRMConfig, HRM_FIELDS, _STEPS["hrm"]),
        "log-baseline": functools.partial(_shrunk, HRMConfig, {**HRM_FIELDS, **_LOG, "mode": "none"}, _STEPS["log"]),
        "log-multi4": functools.partial(
            _shrunk, HRMConfig, {**HRM_FIELDS, **_LOG, "mode": "multi_perturbed_ce"}, _STEPS["log"]
        ),
    }
)
"""HRM's presets: the published run, and the log's two.

The log's want `start=` too, since it began from a half-trained model.
"""

TRM_PRESETS: Mapping[str, Callable[[float], TrialConfig]] = MappingProxyType(
    {
        "sudoku": functools.partial(_shrunk, TRMConfig, _MIXER, _STEPS["trm"]),
        "sudoku-attention": functools.partial(_shrunk, TRMConfig, TRM_FIELDS, _STEPS["trm"]),
        "log-baseline": functools.partial(
            _shrunk, TRMConfig, {**TRM_FIELDS, **_LOG, "mode": "none", "batch": 4}, _STEPS["log"]
        ),
        "log-multi4": functools.partial(
            _shrunk, TRMConfig, {**TRM_FIELDS, **_LOG, "mode": "multi_perturbed_ce", "batch": 4}, _STEPS["log"]
        ),
    }
)
"""TRM's presets: the published runs, and the log's two, at its batch of 4."""


@dataclass(frozen=True)
class LoggedResult:
    """The shares of boards that a run of the log solved, in its best evaluation and in its last."""

    best: float
    last: float


LOGGED_RESULTS: Mapping[str, tuple[LoggedResult, LoggedResult]] = MappingProxyType(
    {
        "hrm": (LoggedResult(0.6250, 0.5889), LoggedResult(0.6328, 0.5801)),
        "trm": (LoggedResult(0.6084, 0.5508), LoggedResult(0.5947, 0.4971)),
    }
)
"""The log's results by family: those of `log-multi4` and of `log-baseline`, one run each."""
LOGGED_BOARDS, LOGGED_EVALUATIONS = 1024, 20
"""The boards of each of the log's evaluations, and the evaluations of a run.

The best evaluation is quoted.
"""


@dataclass(frozen=True)
class LoggedEncoder:
    """What the log of encoders in TRM (github bdsaglam/etrm, 85da7e2) reports; shares of 1.

    Attributes:
        step: the optimizer step of its run's figures.
        accuracy, exact, q_accuracy: shares of tokens, of sequences, and of Q-halt's words that are
            right, in training.
        q_loss: Q-halt's loss.
        segments, limit: mean segments of a sequence, and the most.
        explore: the share of sequences that must go on.
        groups, fixed_groups: training groups of this run, and of that with fixed computation.
        fixed: the training accuracy of fixed computation.
        cached: those of two variational encoders behind a cache.
        coverage: the share of rows that are said to give a cached encoder a gradient.
        phases: Q-halt's accuracy in its first phase, and the lowest and highest in its second.
        seconds: of a step of the run that seemed to have crashed, and once mended.
        held_out, trained: the final report's pass@1 on held-out tasks, and its training accuracy.
    """

    step: int = 240
    accuracy: float = 0.8615
    exact: float = 0.109
    q_accuracy: float = 0.918
    q_loss: float = 0.226
    segments: float = 11.34
    limit: int = 16
    explore: float = 0.5
    groups: int = 8
    fixed_groups: int = 32
    fixed: float = 0.967
    cached: tuple[float, float] = (0.515, 0.506)
    coverage: float = 0.02
    phases: tuple[float, float, float] = (0.99, 0.85, 0.92)
    seconds: tuple[float, float] = (422.0, 4.0)
    held_out: float = 0.0
    trained: float = 0.789


LOGGED_ENCODER = LoggedEncoder()
"""The log's figures, of one run each; groups, and the final report's, from its repository."""
