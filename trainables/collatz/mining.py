"""Hard negative mining: rows where V falls least become further hard seeds.

A mining that does harm can be taken back. The log mined without a way back, and saw violations rise
from 25.9 to 71.3 % (its run 2).
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from trainables.collatz.config import CollatzConfig
from trainables.collatz.data import POOL_NODES, CollatzData
from trainables.collatz.features import F64, I64, Nodes
from trainables.collatz.orbits import BITS, U64, from_limbs, to_limbs
from trainables.collatz.sampler import Sampler, mined_orbits

__all__ = ["MOST", "PROBE", "Margins", "Miner", "merged", "worst"]

Margins = Callable[[Nodes, I64], F64]
"""A function from nodes to V(n) - V(T n), float64 [rows], at the model's present weights."""

MOST = 1000
"""The number of mined numbers that are kept, the newest ones (log)."""

PROBE = 2048
"""The number of training rows on which harm is measured, half of them from hard orbits."""


def worst(margins: F64, count: int) -> I64:
    """Returns the places of the `count` smallest margins in ascending order.

    Among equal margins, earlier rows come first.
    """
    return np.asarray(np.argsort(margins, kind="stable")[:count])


def merged(before: tuple[int, ...], found: list[int]) -> tuple[int, ...]:
    """Returns the newest MOST numbers, each once, in the order of their first mining."""
    return tuple(dict.fromkeys([*before, *found]))[-MOST:]


def _packed(numbers: tuple[int, ...]) -> Tensor:
    """Returns the numbers as a tensor that a checkpoint can hold, int64 [limbs, numbers]."""
    return torch.from_numpy(to_limbs(numbers).astype(np.int64))


def _unpacked(limbs: Tensor) -> tuple[int, ...]:
    """The inverse of `_packed`."""
    found: U64 = limbs.numpy().astype(np.uint64)
    assert not (found >> np.uint64(BITS)).any()
    return tuple(from_limbs(found))


class Miner:
    """Mines at every interval, and takes a mining back that did harm.

    Before each mining, the weights, the moments and the mined numbers are kept, with the share of
    violations on the probe, a fixed sample of training rows. That share is measured again half an
    interval later, before the next mining and at the last step. If it is more than `mine_tolerance`
    times the kept one, everything kept comes back except the learning rate, which counts steps. A
    share below one row of the probe counts as one row.

    Weights that have become infinite or NaN stay as they are: a mining makes V worse, not
    undefined, and a trial that diverged must show it.
    """

    def __init__(
        self,
        config: CollatzConfig,
        data: CollatzData,
        sampler: Sampler,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        margins: Margins,
    ) -> None:
        self.config = config
        self.data = data
        self.sampler = sampler
        self.model = model
        self.optimizer = optimizer
        self.margins = margins
        self.rollbacks = 0
        self._kept: dict[str, Any] | None = None
        generator = np.random.default_rng(20260)
        hard = data.rows[generator.integers(0, len(data.rows), size=PROBE // 2)]
        pool = data.pool_first + POOL_NODES * generator.integers(0, data.pool, size=PROBE - len(hard))
        self._probe: I64 = np.concatenate([hard, pool])

    def after_step(self, step: int) -> None:
        """Judges the last mining or makes the next one, if it is time after `step` steps."""
        interval = self.config.mine_interval
        if self._kept and (step - self._kept["step"] in (interval // 2, interval) or step == self.config.steps):
            self._judge(self._kept)
        clock = self.sampler.clock
        due = clock is None or "on" in clock.at(step).choice("mining")
        if due and interval and step % interval == 0 and step < self.config.steps:
            self._mine(step)

    def violations(self) -> float:
        """Returns the share of violations on the probe; NaN if a margin is not finite."""
        found = self.margins(self.data.nodes, self._probe)
        return float(np.mean(found <= 0)) if np.isfinite(found).all() else math.nan

    def _mine(self, step: int) -> None:
        if self.config.mine_tolerance:
            self._keep(step)
        parts = self.sampler.candidates(step, self.sampler.active(step))
        found = np.concatenate([self.margins(part.nodes, part.index) for part in parts])
        numbers = [(part, node) for part in parts for node in part.index.tolist()]
        chosen = [numbers[i] for i in worst(found, self.config.mine_count)]
        self._set(merged(self.sampler.mined.numbers, [part.number(node) for part, node in chosen]))

    def _set(self, numbers: tuple[int, ...]) -> None:
        self.sampler.mined = mined_orbits(numbers, self.data.guarded, self.config.lookahead)

    def _keep(self, step: int) -> None:
        self._kept = {
            "step": step,
            "violations": self.violations(),
            "mined": _packed(self.sampler.mined.numbers),
            "model": copy.deepcopy(self.model.state_dict()),
            "moments": copy.deepcopy(self.optimizer.state_dict()["state"]),
        }

    def _judge(self, kept: dict[str, Any]) -> None:
        # NaN, from a trial that diverged, compares as false: nothing is taken back then.
        if not self.violations() > self.config.mine_tolerance * max(kept["violations"], 1 / PROBE):
            return
        self.model.load_state_dict(kept["model"])
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": kept["moments"]})
        self._set(_unpacked(kept["mined"]))
        self._kept = None
        self.rollbacks += 1

    def facts(self) -> dict[str, float]:
        """Returns how many mined numbers are in use, and how many minings were taken back."""
        return {"mined": float(len(self.sampler.mined.numbers)), "mining_rollbacks": float(self.rollbacks)}

    def state_dict(self) -> dict[str, Any]:
        """Returns the mined numbers and what is kept, as tensors and plain values."""
        return {"mined": _packed(self.sampler.mined.numbers), "rollbacks": self.rollbacks, "kept": self._kept}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """The inverse of `state_dict`."""
        self._set(_unpacked(state["mined"]))
        self.rollbacks = int(state["rollbacks"])
        self._kept = copy.deepcopy(state["kept"])
