"""Small families with the logs' mistakes as switches, trained by the real loop; without a switch they are healthy."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from leadline.checkpoint import CheckpointStore
from leadline.config import TrialConfig, configuration, knob
from leadline.family import Family
from leadline.finding import Finding
from leadline.measure import Measure, Metric
from leadline.statistics import mean_over_units
from leadline.task import Batch, Split, Task
from leadline.training.guards.guard import Guard, GuardRunner, Interval
from leadline.training.guards.overlap import overlap
from leadline.training.loop import Loop

__all__ = [
    "COMMANDS",
    "MISTAKES",
    "PADDED",
    "Commands",
    "Mistakes",
    "commands",
    "findings",
    "interval",
    "told",
    "watched",
]

Fault = Literal["none", "single_minibatches", "stuck", "mining", "mining_undone", "leak"]


@configuration
class MistakesConfig(TrialConfig):
    """Fits y = w x + noise; `warm_up` and `cycles` are healthy schedules."""

    lr: float = knob(0.03, "SGD learning rate at its highest", gt=0, le=10)
    batch: int = knob(8, "rows of a step", unit="rows", ge=1, le=256)
    warm_up: float = knob(0.0, "share of the budget over which the rate rises from 0", ge=0, le=1)
    cycles: int = knob(1, "times that the rate falls from lr to 0", ge=1)
    width: int = knob(4, "columns of x", ge=1)
    fault: Fault = knob("none", "what is wrong")


class MistakesTask(Task):
    def __init__(self, config: MistakesConfig, data: Any, device: torch.device) -> None:
        self.config, self.data, self.model = config, data, MISTAKES.model(config).to(device)
        self.optimizers = [torch.optim.SGD(self.model.parameters(), lr=config.lr)]
        self.schedulers = [self._schedule()]
        self.leaked: list[Tensor] = []

    def _schedule(self) -> torch.optim.lr_scheduler.LRScheduler:
        c, optimizer = self.config, self.optimizers[0]
        if c.fault == "single_minibatches":
            return torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=c.steps // 100)

        def share(step: int) -> float:
            if c.fault == "stuck" and step >= 0.3 * c.steps:
                return 0.0
            rising = step / (c.warm_up * c.steps) if c.warm_up else 1.0
            return min(
                rising,
                float(
                    0.5 + 0.5 * np.cos(np.pi * (step * c.cycles / c.steps % 1.0 if c.cycles > 1 else step / c.steps))
                ),
            )

        return torch.optim.lr_scheduler.LambdaLR(optimizer, share)

    def batch(self, step: int) -> Batch:
        rows = np.random.default_rng([self.config.seed, step]).integers(0, 512, self.config.batch)
        x, y = (torch.from_numpy(part[rows]) for part in self.data["train"])
        first, end = {"mining": (0.6, 1.0), "mining_undone": (0.35, 0.45)}.get(self.config.fault, (0.0, 0.0))
        mined = first <= step / self.config.steps < end
        return {"x": x, "y": 1 - 2 * y if mined else y}

    def losses(self, model: nn.Module, batch: Batch, progress: float) -> dict[str, Tensor]:
        return {"square": ((model(batch["x"]) - batch["y"]) ** 2).mean()}

    def after_step(self, step: int) -> None:
        if self.config.fault == "leak" and step % self.config.eval_every == 0:
            self.leaked.append(
                torch.ones(40 * 2**18)
            )  # 40 MB: above malloc's largest threshold, so never from freed memory

    def evaluate(self, split: Split) -> dict[str, Measure]:
        x, y = (torch.from_numpy(part) for part in self.data[split])
        return {"error": mean_over_units((self.model(x) - y)[:, 0].double().abs().numpy())}


class Mistakes(Family[MistakesConfig]):
    name = "mistakes"
    Config = MistakesConfig
    metrics: ClassVar[tuple[Metric, ...]] = (Metric("error", "min", "rows", "mean absolute error"),)
    objective = "error"

    def build_data(self, config: MistakesConfig) -> Any:
        draws = np.random.default_rng(0).normal(size=(3, 512, config.width + 1)).astype(np.float32)
        splits = zip(("train", "validation", "test"), draws, strict=True)
        return {
            split: (part[:, :-1], part[:, :-1].sum(1, keepdims=True) / 2 + part[:, -1:] / 10) for split, part in splits
        }

    def audit(self, config: MistakesConfig, data: Any) -> list[Finding]:
        return [overlap(data["train"][0], data[split][0], f"{split} rows") for split in ("validation", "test")]

    def baselines(self, config: MistakesConfig, data: Any, split: Split) -> dict[str, dict[str, Measure]]:
        return {"zero": {"error": mean_over_units(np.abs(data[split][1])[:, 0])}}

    def task(self, config: MistakesConfig, data: Any, device: torch.device) -> MistakesTask:
        return MistakesTask(config, data, device)

    def model(self, config: MistakesConfig) -> nn.Module:
        torch.manual_seed(config.seed)
        return nn.Linear(config.width, 1)


MISTAKES = Mistakes()


@configuration
class PaddedConfig(TrialConfig):
    """Two classes, 71.36 % of the labels being the first (families of the log: PAD cells of ARC grids)."""

    lr: float = knob(0.1, "SGD learning rate", gt=0, le=10)
    batch: int = knob(32, "rows of a step", unit="rows", ge=1, le=2500)
    blind: bool = knob(False, "the model's input is masked")


class PaddedTask(Task):
    def __init__(self, config: PaddedConfig, data: Any, device: torch.device) -> None:
        self.config, self.data, self.model = config, data, PADDED.model(config).to(device)
        self.optimizers = [torch.optim.SGD(self.model.parameters(), lr=config.lr)]

    def batch(self, step: int) -> Batch:
        rows = np.random.default_rng([self.config.seed, step]).integers(0, 2500, self.config.batch)
        x, y = self.data["train"]
        return {"x": torch.from_numpy(x[rows]), "y": torch.from_numpy(y[rows])}

    def logits(self, model: nn.Module, x: Tensor) -> Tensor:
        found: Tensor = model(x * 0 if self.config.blind else x)
        return found

    def losses(self, model: nn.Module, batch: Batch, progress: float) -> dict[str, Tensor]:
        return {"entropy": nn.functional.cross_entropy(self.logits(model, batch["x"]), batch["y"])}

    def evaluate(self, split: Split) -> dict[str, Measure]:
        x, y = self.data[split]
        right = self.logits(self.model, torch.from_numpy(x)).argmax(1).numpy() == y
        return {"accuracy": mean_over_units(right.astype(np.float64), (0.0, 1.0))}


class Padded(Family[PaddedConfig]):
    name = "padded"
    Config = PaddedConfig
    metrics: ClassVar[tuple[Metric, ...]] = (Metric("accuracy", "max", "rows", "share of right labels"),)
    objective = "accuracy"

    def build_data(self, config: PaddedConfig) -> Any:
        generator = np.random.default_rng(0)
        labels = [generator.permutation(np.arange(2500) >= 1784).astype(np.int64) for _ in range(3)]
        inputs = [(generator.normal(size=(2500, 3)) + 2 * label[:, None]).astype(np.float32) for label in labels]
        return dict(zip(("train", "validation", "test"), zip(inputs, labels, strict=True), strict=True))

    def audit(self, config: PaddedConfig, data: Any) -> list[Finding]:
        return [overlap(data["train"][0], data[split][0], f"{split} rows") for split in ("validation", "test")]

    def baselines(self, config: PaddedConfig, data: Any, split: Split) -> dict[str, dict[str, Measure]]:
        commonest = np.bincount(data["train"][1]).argmax()
        return {"constant": {"accuracy": mean_over_units((data[split][1] == commonest).astype(np.float64), (0.0, 1.0))}}

    def task(self, config: PaddedConfig, data: Any, device: torch.device) -> PaddedTask:
        return PaddedTask(config, data, device)

    def model(self, config: PaddedConfig) -> nn.Module:
        torch.manual_seed(config.seed)
        return nn.Linear(3, 2)


PADDED = Padded()


def commands() -> list[str]:
    """The 20,910 commands of the SCAN grammar (Lake and Baroni 2018, figure 6)."""
    verbs, sides = ("walk", "look", "run", "jump"), ("left", "right")
    turning = [
        f"{verb}{how} {side}" for verb in (*verbs, "turn") for how in ("", " opposite", " around") for side in sides
    ]
    single = [f"{verb}{times}" for verb in (*verbs, *turning) for times in ("", " twice", " thrice")]
    return [
        *single,
        *(f"{first} {word} {second}" for first in single for word in ("and", "after") for second in single),
    ]


class Commands(Mistakes):
    """Commands pooled three times and split at random, as the log did, or split first and pooled then."""

    name = "commands"

    def __init__(self, pooled: bool) -> None:
        self.pooled = pooled

    def split(self) -> dict[str, npt.NDArray[np.str_]]:
        """70, 15 and 15 % of the commands or of their copies."""
        rows = np.array(commands() * (3 if self.pooled else 1))
        rows = np.random.default_rng(42).permutation(rows)
        parts = np.split(rows, [round(0.7 * len(rows)), round(0.85 * len(rows))])
        return dict(
            zip(
                ("train", "validation", "test"),
                parts if self.pooled else (np.repeat(part, 3) for part in parts),
                strict=True,
            )
        )

    def audit(self, config: MistakesConfig, data: Any) -> list[Finding]:
        rows = self.split()
        return [overlap(rows["train"], rows[split], f"{split} commands") for split in ("validation", "test")]


COMMANDS = Commands(pooled=True)


def watched(family: Family[Any], guard: Guard, store: CheckpointStore | None = None, **fields: Any) -> Loop:
    """A loop that this guard alone watches."""
    config = family.config({"steps": 600, "eval_every": 50, **fields})
    loop = Loop(family, config, family.build_data(config), store=store)
    loop.watch = GuardRunner([guard], loop.task, config.eval_every)
    return loop


def told(loop: Loop, reports: int | None = None) -> list[Finding]:
    """The findings of a run, or of its first reports."""
    return [finding for report in itertools.islice(loop.run(), reports) for finding in report.findings]


def interval(
    step: int, value: float, *, steps: int = 10, budget: int = 100, low: float | None = None, **more: Any
) -> Interval:
    """Made by hand: the objective at a step; `more` replaces fields."""
    objective = Measure(value, 10, value if low is None else low, value)
    fields = {"seconds": 1.0, "losses": np.ones(steps), "rates": (0.1,), "minimise": True, **more}
    return Interval(step=step, steps=steps, budget=budget, objective=objective, **fields)


def findings(guard: Guard, intervals: Sequence[Interval]) -> list[Finding]:
    """All that a guard says to these intervals."""
    return [finding for given in intervals for finding in guard.report(given)]
