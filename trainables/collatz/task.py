"""One trial: the network, its optimizer, the batches and the scores."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from leadline.curriculum import StageClock
from leadline.measure import Measure
from leadline.task import Batch, Split, Task
from trainables.collatz import losses
from trainables.collatz.config import CollatzConfig
from trainables.collatz.data import CollatzData
from trainables.collatz.features import F64, I64, Nodes, features, pair
from trainables.collatz.metrics import population, score, score_rows
from trainables.collatz.mining import Miner
from trainables.collatz.model import DRIFT_COEFFICIENT, network
from trainables.collatz.sampler import Part, Sampler

__all__ = ["CollatzTask"]

_ROWS_AT_ONCE = 8192  # rows of one forward pass in scoring, to bound its memory
_HARD = np.asarray(losses.HARD_WEIGHTS, dtype=np.float32)
_RANDOM = np.asarray(losses.RANDOM_WEIGHTS, dtype=np.float32)


class CollatzTask(Task):
    """One trial of the Collatz family.

    A batch holds, by row:

    * `now` and `next`, float32 [rows, width]: features of n and T(n);
    * `t4` and `t8`, float32 [rows, width]: features of those iterates, where the losses use them;
    * `weight`, float32 [rows]: the row's weight in T1;
    * `hard`, bool [rows]: whether the row comes from a hard orbit;
    * `target`, float32 [rows]: the anchor's target; where the target is trained, `ln` and `drift`
      instead.
    """

    def __init__(self, config: CollatzConfig, data: CollatzData, device: torch.device) -> None:
        self.config = config
        self.data = data
        self.device = device
        net = network(config).to(device)
        self.model: nn.Module = net
        self.drift = net.drift_param
        trained = [p for p in net.parameters() if p.requires_grad]
        self.optimizers = [torch.optim.AdamW(trained, lr=config.peak_lr, weight_decay=config.weight_decay)]
        self.clock = StageClock(config.curriculum, config.steps) if config.curriculum else None
        self.schedulers = _schedulers(config, self.optimizers[0], self.clock)
        self.sampler = Sampler(config, data, self.clock)
        self.miner = (
            Miner(config, data, self.sampler, net, self.optimizers[0], self.margins) if config.mine_every else None
        )

    def stage(self, step: int) -> int:
        """Returns the clock's stage; without a clock, the number of hard seeds in use at a step."""
        return super().stage(step) if self.clock else self.sampler.active(step)

    def anchor(self, progress: float) -> float:
        """Returns the weight of the anchor at a share of the budget."""
        c = self.config
        return c.anchor * losses.anchor_weight(progress, c.anchor_decay_start, c.anchor_decay, c.anchor_min)

    def batch(self, step: int) -> Batch:
        """Returns the batch of a step, a pure function of configuration, step and mined numbers."""
        return self._rows(step, self.sampler.active(step))

    def staged_batch(self, step: int, stage: int) -> Batch:
        """Returns the batch of a step in another stage, or with another number of active seeds."""
        return super().staged_batch(step, stage) if self.clock else self._rows(step, stage)

    def _rows(self, step: int, active: int) -> Batch:
        parts = [self._arrays(part) for part in self.sampler.parts(step, active)]
        joined = parts[0]
        if len(parts) > 1:
            joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        return {name: torch.from_numpy(array).to(self.device) for name, array in joined.items()}

    def _arrays(self, part: Part) -> dict[str, npt.NDArray[Any]]:
        c = self.config
        nodes = part.nodes
        index = part.index
        now, following, bits = pair(nodes, index, c.lookahead, c.features)
        growth = nodes.growth(index).astype(np.int64)
        if c.weights == "logged":
            weight = np.where(part.hard, _HARD[growth], _RANDOM[growth])
        else:
            weight = np.ones(len(index), dtype=np.float32)
        arrays = {"now": now, "next": following, "weight": weight, "hard": part.hard}
        if c.target == "fixed":
            arrays["target"] = (nodes.ln[index] + DRIFT_COEFFICIENT * bits).astype(np.float32)
        else:
            arrays |= {"ln": nodes.ln[index].astype(np.float32), "drift": bits.astype(np.float32)}
        return arrays | {f"t{j}": features(nodes, index + j, c.lookahead, c.features) for j in c.reach}

    def losses(self, model: nn.Module, batch: Batch, progress: float) -> dict[str, Tensor]:
        """Returns the loss terms, from one forward pass on all rows together.

        They are `t1`, `t4` and `t8` where the configuration uses them, and `anchor` while it has
        any weight.
        """
        margin, reach = self.config.margin, [f"t{j}" for j in self.config.reach]
        inputs = [batch["now"], batch["next"], *(batch[name] for name in reach)]
        now, later, *further = model(torch.cat(inputs)).chunk(len(inputs))
        terms = {"t1": losses.t1(now, later, batch["weight"], margin)}
        for name, value in zip(reach, further, strict=True):
            terms[name] = losses.t4(now, value, margin) if name == "t4" else losses.t8(now, value, margin)
        weight = self.anchor(progress)
        if weight > 0:
            terms["anchor"] = weight * losses.anchor_loss(now, self._target(batch))
        return terms

    def _target(self, batch: Batch) -> Tensor:
        if self.config.target == "fixed":
            return batch["target"]
        coefficient = (
            self.drift
            if self.config.target == "adaptive"
            else torch.where(batch["hard"], self.drift, DRIFT_COEFFICIENT)
        )
        return batch["ln"] + coefficient * batch["drift"]

    def after_step(self, step: int) -> None:
        """Mines, if a mining is due."""
        if self.miner:
            self.miner.after_step(step)

    def values(self, nodes: Nodes, index: I64) -> npt.NDArray[np.float32]:
        """Returns V of a table's nodes with the model's present weights, float32 [rows]."""
        training = self.model.training
        self.model.eval()
        parts = []
        with torch.no_grad():
            for part in np.split(index, range(_ROWS_AT_ONCE, len(index), _ROWS_AT_ONCE)):
                x = features(nodes, part, self.config.lookahead, self.config.features)
                parts.append(self.model(torch.from_numpy(x).to(self.device)).cpu().numpy())
        self.model.train(training)
        return np.concatenate(parts)

    def margins(self, nodes: Nodes, index: I64) -> F64:
        """Returns V(n) - V(T n) of nodes, float64 [rows]; the differences are taken in float32."""
        return (self.values(nodes, index) - self.values(nodes, index + 1)).astype(np.float64)

    def potential(self, index: I64) -> npt.NDArray[np.float32]:
        """Returns V of nodes of the data, float32 [rows]."""
        return self.values(self.data.nodes, index)

    def evaluate(self, split: Split) -> dict[str, Measure]:
        """Returns every metric, on private steps (validation, test) or all steps (train)."""
        return score(self.data, split, self.potential, self.config.lookahead, self.config.common)

    def strata(self, metric: str) -> I64 | None:
        """Returns the quarter of the orbits' lengths that each orbit of validation is in."""
        steps = self.data.scored("validation").steps
        return None if metric.startswith("logged") else np.searchsorted(np.quantile(steps, (0.25, 0.5, 0.75)), steps)

    def evaluate_part(self, metric: str, units: I64) -> dict[str, Measure]:
        """Returns every metric but the log's, on the private steps of some orbits of validation."""
        rows = self.data.scored("validation").take(units)
        return score_rows(rows, self.potential, self.config.lookahead, self.config.common)

    def facts(self, step: int) -> dict[str, float]:
        """Returns the state of the schedules and other facts of the trial.

        They are what the split kept out of training, and the figures on the log's evaluation set.
        """
        return {
            "active_seeds": float(self.sampler.active(step)),
            "anchor_weight": self.anchor(step / self.config.steps),
            **({} if self.config.target == "fixed" else {"drift_coefficient": float(self.drift.detach())}),
            "excluded_curriculum_rows": float(self.data.excluded_curriculum),
            "excluded_random_rows": float(self.data.excluded_pool),
            **(self.miner.facts() if self.miner else {}),
            **self._population(),
        }

    def _population(self) -> dict[str, float]:
        rows = self.data.population
        if rows is None or not self.config.population:
            return {}
        margins = self.margins(rows.nodes, 2 * np.arange(len(rows.weight))).astype(np.float32)
        return {f"population/{name}": value for name, value in population(margins, rows.growth, rows.weight).items()}

    def state_dict(self) -> dict[str, Any]:
        """Returns the state of mining."""
        return self.miner.state_dict() if self.miner else {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """The inverse of `state_dict`."""
        if self.miner:
            self.miner.load_state_dict(state)


def _schedulers(
    config: CollatzConfig, optimizer: torch.optim.Optimizer, clock: StageClock | None
) -> list[torch.optim.lr_scheduler.LRScheduler]:
    if clock is not None:
        # Torch's cosine is computed from the rate before, so it cannot be multiplied by a stage's.
        def factor(step: int) -> float:
            decay = (1 + math.cos(math.pi * step / config.steps)) / 2 if config.schedule == "cosine" else 1.0
            return decay * clock.at(step).rate

        return [torch.optim.lr_scheduler.LambdaLR(optimizer, factor)]
    if config.schedule == "cosine":
        return [torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=config.steps)]
    if config.schedule == "plateau":
        patience = round(config.patience * config.steps)
        return [torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, mode="min", factor=0.5, patience=patience)]
    return []
