"""The log's language run as a configuration, what it meant to run, and its defects one by one.

Source: `train_progressive_minimal.py` and `train_progressive_curriculum.py` of github
fergusmeiklejohn/neural_networks_research (b261e4d): LSTM of width 128, batches of 32, Adam with
values of the gradient clipped at 1, four stages of ten epochs. Its new Adam for each stage is not
repeated: here the moments go on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from leadline.config import ConfigError
from trainables.scan.config import ScanConfig

__all__ = ["LOGGED_RESULTS", "PRESETS", "STEPS", "LoggedResults", "Rung", "logged"]

PAIRS = 1100  # rows under a rule that the log had, whatever share it asked for
EPOCHS = 40
STEPS = round(EPOCHS * 39_708 / 32)
"""Optimizer steps of the log's four stages: ten epochs each of 39,708 rows in batches of 32."""

EVERYTHING = "simple+complex+novel"
MEANT = (
    "base:1/4",
    "simple:1/4:rate=0.5:modified=0.3:rules=simple",
    "complex:1/4:rate=0.2:modified=0.5:rules=simple+complex",
    f"novel:1/4:rate=0.1:modified=0.7:rules={EVERYTHING}",
)
"""The log's stages as it describes them: rates, shares of modified rows and kinds of rules."""
RAN = (
    "base:1/4",
    f"simple:1/4:rate=0.5:modified=0.3:rules={EVERYTHING}",
    f"complex:1/4:rate=0.2:modified=0.5:rules={EVERYTHING}",
    f"novel:1/4:rate=0.1:modified=0.7:rules={EVERYTHING}",
)
"""The stages as its code runs them, which never reads the kinds of rules."""
SAME = (RAN[0], *(stage.replace("0.5:rules", "0.3:rules").replace("0.7", "0.3") for stage in RAN[1:]))
"""Stages after the first that train on identical rows, at falling rates."""

_PRESETS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "log": {"split": "pooled", "protocol": "logged", "stages": RAN, "modified_cap": PAIRS},
        "meant": {"split": "simple", "stages": MEANT},
        "pooled": {"split": "pooled", "stages": MEANT},
        "capped": {"split": "simple", "stages": RAN, "modified_cap": PAIRS},
        "identical": {"split": "simple", "stages": SAME},
        "clear_session": {"split": "simple", "stages": MEANT, "clear_every": 100},
    }
)


def logged(name: str, scale: float = 1.0) -> ScanConfig:
    """Returns the log's run or one of its variants.

    Args:
        name: `log`, as it ran: the pooled split under its own protocol, with 1,100 modified rows at
            most. `meant`: its stages as described, on a split that does not leak. The others have
            one defect each: `pooled` the split, which the audit refuses; `capped` the cap, by which
            the share of modified rows says nothing; `identical` stages with equal rows;
            `clear_session` a model that is thrown away every 100 steps.
        scale: shrinks the run to `scale` times its steps. Width, batch and rates stay.

    Raises:
        ConfigError: for another name, or a scale outside (0, 1].
    """
    if name not in _PRESETS:
        raise ConfigError(f"preset: the log has {', '.join(_PRESETS)} (got {name})")
    if not 0 < scale <= 1:
        raise ConfigError(f"scale: must be above 0 and at most 1 (got {scale})")
    steps = max(4, round(STEPS * scale))
    return ScanConfig(
        model="lstm",
        width=128,
        batch=32,
        lr=1e-3,
        schedule="constant",
        warmup=0.0,
        clip=1.0,
        clip_by="value",
        steps=steps,
        eval_every=max(1, steps // 40),
        **_PRESETS[name],
    )


def _preset(name: str) -> Callable[[float], ScanConfig]:
    return lambda scale: logged(name, scale)


PRESETS: Mapping[str, Callable[[float], ScanConfig]] = MappingProxyType({name: _preset(name) for name in _PRESETS})


@dataclass(frozen=True)
class Rung:
    """A try of the log at its transformer, and how it ended.

    Attributes:
        batch: rows of a step.
        width: the transformer's.
        parameters: as the log counts them, about; 0 where it gives no count.
        ended: the share of an epoch after which memory ran out, in percent; 0 where the log does
            not say that it did.
    """

    batch: int
    width: int
    parameters: float
    ended: float


@dataclass(frozen=True)
class LoggedResults:
    """What the log gives for its language run, beside the presets' settings.

    Attributes:
        samples: rows of its pooled split.
        held: rows among them with words that are not trained together.
        modified: rows under a rule.
        targets: the exact match that it aims at in each stage, as a share, by the group of rules.
        losses: its training loss at the beginning and at the end.
        parameters: of its LSTM, as it counts them.
        ladder: its tries at a transformer, in order.
        use: the share of the GPU that its LSTM used.
        wider: the batch that it would go up to.
    """

    samples: int
    held: int
    modified: int
    targets: Mapping[str, float]
    losses: tuple[float, float]
    parameters: int
    ladder: tuple[Rung, ...]
    use: float
    wider: int


LOGGED_RESULTS = LoggedResults(
    samples=64_196,
    held=7_469,
    modified=PAIRS,
    targets=MappingProxyType({"base": 0.95, "simple": 0.80, "complex": 0.70, "novel": 0.60}),
    losses=(0.4026, 0.038),
    parameters=267_914,
    ladder=(Rung(64, 256, 50e6, 6), Rung(32, 256, 0, 7), Rung(16, 128, 12e6, 9), Rung(8, 128, 6.5e6, 27)),
    use=0.12,
    wider=128,
)
"""From the log's sections on its data loader, its training plan, GPU memory and training results.

Of the last rung the log gives 5 to 8 million parameters. It recorded no accuracy.
"""
