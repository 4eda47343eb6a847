"""One trial of ETRM: beside all that a trial of TRM has, what reaches its encoder, and collapse."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from leadline.measure import Measure
from leadline.task import Batch, Split
from trainables.puzzles.scoring import divided
from trainables.recursive.collapse import collapse
from trainables.recursive.config import ETRMConfig
from trainables.recursive.encoder import Encoded
from trainables.recursive.metrics import START_STEPS
from trainables.recursive.model import ETRM, Rollout
from trainables.recursive.start import RecursiveData
from trainables.recursive.task import RecursiveTask

__all__ = ["ETRMTask"]

TALLIES = ("encoder/coverage", "encoder/rows", "encoder/rows_used")
_DRAW = 3


class _Reached:
    """Which rows of one call of the encoder a gradient has reached.

    A backward pass through part of the loss, as guards make some, counts only until the whole one.

    Attributes:
        rows, owners: see `Encoded`.
        used: bool [E], whose context has one.
        covered: bool [N], whose demonstrations have one that came through the whole encoder.
    """

    def __init__(self, encoded: Encoded) -> None:
        self.rows, self.owners = encoded.rows, encoded.owners
        self.used = torch.zeros_like(self.rows, dtype=torch.bool)
        self.covered = torch.zeros_like(self.owners[0], dtype=torch.bool)
        if encoded.context.requires_grad:
            encoded.context.register_hook(self._use)  # type: ignore[no-untyped-call]
            encoded.pairs.register_hook(self._cover)  # type: ignore[no-untyped-call]

    def _use(self, gradient: Tensor) -> None:
        self.used = (gradient != 0).flatten(1).any(1)

    def _cover(self, gradient: Tensor) -> None:
        self.covered = (gradient != 0).flatten(1).any(1)

    def rows_covered(self, count: int) -> Tensor:
        """Tells which of `count` rows gave the encoder a gradient, bool [count]."""
        reached, used = torch.zeros(2, count, dtype=torch.bool, device=self.rows.device)
        reached[self.owners[:, self.covered]] = True
        used[self.rows] = self.used
        return torch.logical_and(reached, used)

    def boards_used(self) -> Tensor:
        """Tells of which encoded boards a gradient has reached the context, bool [E / K]."""
        return self.used.view(len(self.owners), -1).any(0)


class ETRMTask(RecursiveTask):
    """One trial of ETRM.

    A batch also holds the demonstrations and, where the encoder is variational, the seeds of its
    noise, `draw`, int64 [rows, K].
    """

    config: ETRMConfig

    def __init__(self, config: ETRMConfig, data: RecursiveData, device: torch.device) -> None:
        super().__init__(config, data, device)
        self._reached: dict[int, tuple[int, list[_Reached]]] = {}
        """The slots and encodings of the step under way, by the first slot of each micro-batch."""
        self._encodings = torch.zeros(len(TALLIES), 2, dtype=torch.float64, device=device)
        self.coverage = torch.zeros(2, dtype=torch.float64, device=device)
        """Rows of the last interval that gave the encoder a gradient, and all of them."""

    def batch(self, step: int) -> Batch:
        """Returns the batch of a step, a pure function of the configuration and the step."""
        batch = super().batch(step)
        if self.config.encoder == "variational":
            generator = np.random.default_rng((self.config.seed, step, _DRAW))
            seeds = generator.integers(2**62, size=(self.config.batch, self.config.trajectories))
            batch["draw"] = torch.from_numpy(seeds).to(self.device)
        return batch

    def _beside(self, batch: Batch, fresh: Tensor | None) -> dict[str, Tensor]:
        beside = {"noise": self._noise(batch["draw"])} if "draw" in batch else {}
        return {**beside, "fresh": fresh} if fresh is not None and self.config.encoding == "cached" else beside

    def _noise(self, seeds: Tensor) -> Tensor:
        """Draws unit noise, float32 [K * rows, T, prefix, width], of seeds, int64 [rows, K].

        T is 1, or the segments where each has an encoding of its own.
        """
        generator, size = torch.Generator(), (self.config.encodings, self.config.prefix, self.config.hidden)
        drawn = [torch.randn(size, generator=generator.manual_seed(seed)) for seed in seeds.T.flatten().tolist()]
        return torch.stack(drawn).to(self.device)

    def _terms(self, slots: Tensor, said: Rollout, found: dict[str, Tensor]) -> dict[str, Tensor]:
        """Adds `kl`, the mean divergence of contexts, and watches what reaches the encoder."""
        if said.encoded:
            self._reached[int(slots[0])] = (len(slots), [_Reached(encoded) for encoded in said.encoded])
        nats = [encoded.divergence.sum() for encoded in said.encoded if encoded.divergence is not None]
        if not nats or self.config.freeze_encoder:
            return found
        mean = torch.stack(nats).sum() / (said.q_halt.shape[1] * self.config.encodings)
        return {**found, "kl": self.config.kl_weight * mean}

    def after_step(self, step: int) -> None:
        """Counts what has reached the encoder, beside what every trial does."""
        for slots, calls in self._reached.values():
            rows = slots * self.config.trajectories
            covered = torch.stack([call.rows_covered(rows) for call in calls]).any(0)
            used = torch.cat([call.boards_used() for call in calls])
            share = slots / self.config.batch  # of the step, so that all workers together count one
            found = [[covered.sum(), rows], [len(used), share], [used.sum(), share]]
            self._encodings += torch.tensor(found, dtype=torch.float64, device=self.device)
        self._reached.clear()
        super().after_step(step)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores a state, and forgets the steps that it takes back."""
        super().load_state_dict(state)
        self._reached.clear()

    def tallies(self) -> Mapping[str, Tensor]:
        """Returns sums and counts by name, and starts anew.

        `encoder/coverage` is the share of trained rows that gave the encoder a gradient;
        `encoder/rows` counts the rows encoded in a step, `encoder/rows_used` those whose context
        the loss depends on (0 where the encoder is frozen, which gets no gradient).
        """
        found, self._encodings = self._encodings, torch.zeros_like(self._encodings)
        self.coverage = found[0]
        own = dict(zip(TALLIES, found, strict=True)) if self.net.shown else {}
        return {**super().tallies(), **own}

    def evaluate(self, split: Split) -> dict[str, Measure]:
        """Returns every metric on a split, and the steps that a start brought."""
        start = self.data.start
        brought = {} if start is None else {START_STEPS.name: Measure.exact(start.step)}
        return {**super().evaluate(split), **brought}

    def _scored(self, split: Split) -> dict[str, Measure]:
        if not self.net.shown:
            return super()._scored(split)
        known, _ = divided(self.data.puzzle, self.data.scored(split))
        return {**super()._scored(split), **collapse(cast(ETRM, self.net), known, self.device)}
