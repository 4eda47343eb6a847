"""One configuration of the physics family in training."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.distributed as dist
from torch import Tensor, nn

from leadline.curriculum import StageClock
from leadline.measure import Measure
from leadline.task import Batch, Split, Task
from leadline.training.clipping import clip_at_step
from trainables.physics import losses
from trainables.physics.config import VOCABULARY, PhysicsConfig
from trainables.physics.data import Prepared, balls_of, errors
from trainables.physics.features import features, states_of
from trainables.physics.metrics import score, windows_of
from trainables.physics.model import LoggedTransformer, network
from trainables.physics.sampler import Sampler, flight_of

__all__ = ["PHYSICS_TERMS", "PhysicsTask"]

PHYSICS_TERMS = ("energy", "momentum")
ROWS_AT_ONCE = 1024  # evaluated together, which bounds the memory
START_ROWS = 2048  # that the terms are measured on before training

I64 = npt.NDArray[np.int64]


class PhysicsTask(Task):
    """One configuration: a network that is trained on windows of simulated episodes.

    Batches have the tensors of `sampler.arrays`. The loss terms are `data`, and `energy` and
    `momentum` where a stage weighs them.
    """

    def __init__(self, config: PhysicsConfig, data: Prepared, device: torch.device) -> None:
        self.config, self.data, self.device = config, data, device
        self.clock: StageClock = StageClock(config.curriculum, config.steps)
        self.sampler = Sampler(config, data, self.clock, device)
        self.net = network(config)
        train = self.sampler.rows(np.arange(len(data.physics.train)))
        self.net.to(device).measure_units(train["seen"], train["future"], train["balls"], train["world"])
        self.model: nn.Module = self.net
        self.optimizers = [torch.optim.AdamW(self.net.parameters(), lr=config.lr, weight_decay=config.weight_decay)]
        clip_at_step(self.optimizers[0], config.clip)
        self.schedulers = [torch.optim.lr_scheduler.LambdaLR(self.optimizers[0], self._rate)]
        self.terms = [
            name for name in PHYSICS_TERMS if any(stage.numbers[name] > 0 for stage in self.clock.curriculum.stages)
        ]
        self.balance = losses.Balance(config.balance, self._start(), config.seed)
        self._sums: dict[str, Tensor] = {}
        """Sums of the terms over the micro-batches of this step, and their rows under `rows`."""
        self._flights: dict[Split, Tensor] = {}

    def _rate(self, step: int) -> float:
        """The factor on the learning rate: warm-up, decay to 0 at the end, and the stage's."""
        c = self.config
        warmup = min(1.0, (step + 1) / max(1.0, c.warmup * c.steps))
        decay = (1 + math.cos(math.pi * min(1.0, step / c.steps))) / 2 if c.schedule == "cosine" else 1.0
        return warmup * decay * self.clock.at(step).rate

    def _start(self) -> dict[str, float]:
        """The terms of the untrained network on training windows."""
        count = len(self.data.physics.train)
        batch = self.sampler.rows(np.unique(np.linspace(0, count - 1, START_ROWS).astype(np.int64)))
        self.net.eval()
        with torch.no_grad():
            found = self.raw_terms(self._output(self.net, batch), batch)
        self.net.train()
        return {name: float(value) for name, value in found.items()}

    def _output(self, model: nn.Module, batch: Batch) -> Tensor:
        output: Tensor = model(batch["seen"], batch["flight"], batch["balls"], batch["world"])
        return output

    def batch(self, step: int) -> Batch:
        """Returns the batch of a step, a pure function of configuration, stage and step."""
        return self.sampler.batch(step)

    def raw_terms(self, output: Tensor, batch: Batch) -> dict[str, Tensor]:
        """The terms of a model's output, without factors and weights."""
        return {"data": self._data_term(output, batch), **self.physics_terms(output, batch)}

    def _data_term(self, output: Tensor, batch: Batch) -> Tensor:
        if isinstance(self.net, LoggedTransformer):
            true = self._features(batch)
            return ((output - true) / self.net.feature_scale).square().mean()
        return losses.squared(output, batch["future"], self.net.state_scale, batch["balls"][..., 2]).mean()

    def _features(self, batch: Batch) -> Tensor:
        return features(batch["future"], batch["balls"], batch["world"], self.data.physics.setting.dt, self.config.seen)

    def physics_terms(self, output: Tensor, batch: Batch) -> dict[str, Tensor]:
        """The physics terms that any stage weighs, without factors and weights.

        Energy is compared with the books of the simulator, what its losses have left, and momentum
        with its impulses; in standard deviations of the training windows, or in J^2 and (kg m/s)^2
        where nothing balances them.
        """
        if self.config.slices == "log":
            true = self._features(batch)
            logged = {"energy": losses.logged_energy, "momentum": losses.logged_momentum}
            return {name: logged[name](output, true) for name in self.terms}
        states, mass = states_of(output), batch["balls"][..., 0]
        units = self.data.units
        plain = self.config.balance == "none"
        scales = {
            "energy": torch.tensor(1.0 if plain else units.energy, device=self.device),
            "momentum": torch.tensor((1.0, 1.0) if plain else tuple(units.momentum), device=self.device),
        }
        found = {
            "energy": lambda: losses.energy(states, mass, batch["gravity"]),
            "momentum": lambda: losses.momentum(states, mass),
        }
        return {name: ((found[name]() - batch[name]) / scales[name]).square().mean() for name in self.terms}

    def losses(self, model: nn.Module, batch: Batch, progress: float) -> dict[str, Tensor]:
        """Returns `data` and the physics terms, with the weights of the stage and their factors."""
        raw = self.raw_terms(self._output(model, batch), batch)
        at = self.clock.during(progress)
        if self.config.balance == "relobralo":
            self._note(raw, len(batch["seen"]))
        weights = {"data": 1.0, **{name: at.number(name) for name in self.terms}}
        return {name: weights[name] * self.balance.factor(name) * term for name, term in raw.items()}

    def _note(self, raw: Mapping[str, Tensor], rows: int) -> None:
        for name, term in {**raw, "rows": torch.ones((), device=self.device)}.items():
            self._sums[name] = self._sums.get(name, torch.zeros((), device=self.device)) + rows * term.detach()

    def after_step(self, step: int) -> None:
        """Tells the balance the values of the terms, of all micro-batches and workers."""
        if not self._sums:
            return
        names = list(self._sums)
        sums = torch.stack([self._sums[name] for name in names])
        self._sums = {}
        if dist.is_available() and dist.is_initialized():
            dist.all_reduce(sums)
        found = dict(zip(names, sums.tolist(), strict=True))
        rows = found.pop("rows")
        self.balance.after_step(step, {name: total / rows for name, total in found.items()})

    def predicted(self, split: Split, chosen: I64 | None = None) -> Tensor:
        """The model's output for all windows of a split, or for those at `chosen`, on the CPU."""
        windows = self.data.physics.scored(split)
        if split not in self._flights:
            self._flights[split] = torch.tensor(flight_of(self.config, self.data.physics, windows))
        inputs: tuple[Tensor, ...] = (
            torch.tensor(windows.states[:, : self.config.seen]),
            self._flights[split],
            torch.tensor(balls_of(windows)),
            torch.tensor(windows.world),
        )
        if chosen is not None:
            inputs = tuple(tensor[torch.from_numpy(chosen)] for tensor in inputs)
        training = self.model.training
        self.model.eval()
        with torch.no_grad():
            parts = [
                self.model(*(tensor[first : first + ROWS_AT_ONCE].to(self.device) for tensor in inputs)).cpu()
                for first in range(0, len(inputs[0]), ROWS_AT_ONCE)
            ]
        self.model.train(training)
        return torch.cat(parts)

    def evaluate(self, split: Split) -> dict[str, Measure]:
        """Returns every metric, by episodes of the split."""
        physics = self.data.physics
        found = errors(self.predicted(split), physics.scored(split), physics.setting, self.data.units)
        return score(found, self.data.rows(split))

    def strata(self, metric: str) -> I64 | None:
        """Returns the regime of each episode of validation that the metric is of; None of none."""
        rows = self.data.rows("validation")
        own = np.flatnonzero(windows_of(metric, rows))
        first = np.unique(rows.episode[own], return_index=True)[1]
        return rows.regime[own[first]] if len(own) else None

    def evaluate_part(self, metric: str, units: I64) -> dict[str, Measure]:
        """Returns a metric by some of the episodes of validation that it is of."""
        physics, rows = self.data.physics, self.data.rows("validation")
        own = windows_of(metric, rows)
        chosen = np.flatnonzero(own & np.isin(rows.episode, np.unique(rows.episode[own])[units]))
        output = self.predicted("validation", chosen)
        found = errors(output, physics.validation[chosen], physics.setting, self.data.units)
        return {metric: score(found, rows.take(chosen))[metric]}

    def facts(self, step: int) -> dict[str, float]:
        """Returns the weights of the stage and the factors of the terms."""
        at = self.clock.at(max(0, step - 1))
        return {
            **{f"stage_{name}": at.number(name) for name in VOCABULARY.numbers},
            **{f"factor/{name}": self.balance.factor(name) for name in ("data", *self.terms)},
        }

    def state_dict(self) -> dict[str, Any]:
        """Returns the state of the balance of the terms."""
        return {"balance": self.balance.state_dict(), "sums": dict(self._sums)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """The inverse of `state_dict`."""
        self.balance.load_state_dict(state["balance"])
        self._sums = dict(state["sums"])
