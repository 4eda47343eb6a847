"""Published settings as configurations.

They are HRM and TRM on Sudoku-Extreme and on ARC, the log's fine-tunes of them, and ETRM's run of
its log. The sudokus are generated ones of side 9: Sudoku-Extreme itself is not part of this
package, and neither is ConceptARC, with which HRM and TRM were trained on ARC, so that published
scores are no target. Sources: the READMEs and configurations of github sapientinc/HRM (42410da),
SamsungSAILMontreal/TinyRecursiveModels (e7b6871) and bdsaglam/etrm (85da7e2); the log's "Current
Long Runs" (git.blackhao.com/rrm.git, 66e0d8b).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from leadline.config import ConfigError, TrialConfig
from trainables.recursive.config import ETRMConfig, HRMConfig, TRMConfig

__all__ = [
    "ARC_BOARDS",
    "ETRM_FIELDS",
    "ETRM_PRESETS",
    "HRM_FIELDS",
    "HRM_PRESETS",
    "LOGGED_BOARDS",
    "LOGGED_ENCODER",
    "LOGGED_EVALUATIONS",
    "LOGGED_RESULTS",
    "SUDOKU",
    "TRM_FIELDS",
    "TRM_PRESETS",
    "LoggedEncoder",
    "LoggedResult",
]

LEAST_WIDTH = 32

SUDOKU: dict[str, Any] = {
    "task": "sudoku",
    "size": 9,
    "train_boards": 1000,
    "validation_boards": 1024,
    "test_boards": 2048,
}
"""The boards of the runs on Sudoku."""
_COMMON: dict[str, Any] = {
    **SUDOKU,
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
ARC_BOARDS: dict[str, Any] = {"task": "arc", "size": 30, "train_boards": 8000, "augmentations": 1000}
"""The boards of ARC: every task, all pairs, and 1000 images of each task."""
_ARC: dict[str, Any] = {
    **ARC_BOARDS,
    "batch": 768,
    "lr": 1e-4,
    "weight_decay": 0.1,
    "puzzle_lr": 1e-2,
    "puzzle_weight_decay": 0.1,
}
_HRM_ARC: dict[str, Any] = {**HRM_FIELDS, **_ARC}
_TRM_ARC: dict[str, Any] = {**TRM_FIELDS, **_ARC, "l_cycles": 4}
ETRM_FIELDS: dict[str, Any] = {
    **{name: value for name, value in _TRM_ARC.items() if not name.startswith("puzzle_")},
    "task": "rules",
    "train_rules": 8,
    "train_boards": 24_000,
    "augmentations": 0,
    "demonstrations": 10,
    "encoder_layers": 2,
    "context_tokens": 16,
    "batch": 256,
    "lr": 2e-4,
    "explore": 0.5,
    "clip": 1.0,
}
"""The log's run A4_reencode_FIXED.

Its 8 groups of ARC are 8 rules here, as the log does not name them. Its decoder began as that of a
TRM after 518,071 steps.
"""
_FCT: dict[str, Any] = {"encoding": "fct", "rollout": "parallel_fixed", "halt_max_steps": 4, "explore": 0.1}
_STEPS = {"hrm": 52_083, "trm": 65_104, "log": 50_000, "arc1": 518_071, "arc2": 723_914, "a4": 4800}
"""The optimizer steps of each run.

Those of ARC are in the names of TRM's published checkpoints, which at a batch of 768 are 100,000
epochs; HRM was trained as many. How long A4 was trained is not known: it is evaluated 20 times here
and first at step 240, from which the log's figures are.
"""
WARMUP = 2000
"""The warm-up's optimizer steps in all published runs."""


def _shrunk(kind: type[HRMConfig | TRMConfig], fields: Mapping[str, Any], steps: int, scale: float) -> TrialConfig:
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
    small = {"hidden": width, "batch": max(1, round(fields["batch"] * scale)), "steps": steps}
    if "puzzle_emb" in fields:
        small["puzzle_emb"] = width
    return kind(**{**fields, **small, "eval_every": max(1, round(steps / 20)), "warmup": warmup})


HRM_PRESETS: Mapping[str, Callable[[float], TrialConfig]] = MappingProxyType(
    {
        "sudoku": functools.partial(_shrunk, HRMConfig, HRM_FIELDS, _STEPS["hrm"]),
        "log-baseline": functools.partial(_shrunk, HRMConfig, {**HRM_FIELDS, **_LOG, "mode": "none"}, _STEPS["log"]),
        "log-multi4": functools.partial(
            _shrunk, HRMConfig, {**HRM_FIELDS, **_LOG, "mode": "multi_perturbed_ce"}, _STEPS["log"]
        ),
        "arc1": functools.partial(_shrunk, HRMConfig, _HRM_ARC, _STEPS["arc1"]),
        "arc2": functools.partial(_shrunk, HRMConfig, {**_HRM_ARC, "data_set": "arcagi2"}, _STEPS["arc2"]),
    }
)
"""HRM's presets: the published runs on Sudoku, ARC-AGI-1 and ARC-AGI-2, and the log's two.

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
        "arc1": functools.partial(_shrunk, TRMConfig, _TRM_ARC, _STEPS["arc1"]),
        "arc2": functools.partial(_shrunk, TRMConfig, {**_TRM_ARC, "data_set": "arcagi2"}, _STEPS["arc2"]),
    }
)
"""TRM's presets: the published runs, on ARC as well, and the log's two, at its batch of 4."""

ETRM_PRESETS: Mapping[str, Callable[[float], TrialConfig]] = MappingProxyType(
    {
        "a4-reencode": functools.partial(_shrunk, ETRMConfig, ETRM_FIELDS, _STEPS["a4"]),
        "a4-cached": functools.partial(_shrunk, ETRMConfig, {**ETRM_FIELDS, "encoding": "cached"}, _STEPS["a4"]),
        "a4-fct": functools.partial(_shrunk, ETRMConfig, {**ETRM_FIELDS, **_FCT}, _STEPS["a4"]),
    }
)
"""ETRM's presets: the log's run, its control behind a cache, and four segments of a fixed number.

The log compares with four segments on 32 groups, which is another task: here all three are on the
same boards. A step here is the mean over the four segments; the log takes a step after each.
"""


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
