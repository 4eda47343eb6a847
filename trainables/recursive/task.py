"""One trial of HRM or TRM: its batches, rollouts, carry, and averaged weights."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from leadline.curriculum import StageClock
from leadline.measure import Measure
from leadline.task import Batch, Perturbation, Split, Task
from leadline.training.clipping import clip_at_step
from trainables.puzzles.data import Sampler
from trainables.puzzles.puzzle import I64
from trainables.puzzles.scoring import of_units, strata
from trainables.recursive import act, perturb
from trainables.recursive.config import RecursiveConfig
from trainables.recursive.metrics import CLEAN
from trainables.recursive.model import PUZZLE, RecursiveNet, Rollout, network, puzzle_parameters
from trainables.recursive.optim import EMA, AdamATan2, SignSGD, schedule
from trainables.recursive.rollout import Judged, active, judge, terms
from trainables.recursive.scoring import passes, probed, score, score_clean, tensors
from trainables.recursive.start import RecursiveData

__all__ = ["RecursiveTask"]

TALLIES = ("train/accuracy", "train/exact", "train/q_accuracy", "train/steps")
_NOISE, _LEAST = 1, 2


class RecursiveTask(Task):
    """One trial of a recursive family.

    A batch holds `inputs` and `labels`, int64 [rows, tokens], and by row its `puzzle`, `slot` and
    the `seed` of its noise, int64 [rows]. Where ACT streams, each slot has K trajectories with a
    carry of their own, and `least`, int64 [rows, K], is the exploration's minimum.
    """

    def __init__(self, config: RecursiveConfig, data: RecursiveData, device: torch.device) -> None:
        self.config = config
        self.data = data
        self.device = device
        net = network(config)
        if data.start is not None:
            data.start.load(net)
        self.net = net.to(device)
        self.model: nn.Module = self.net
        self.clock = StageClock(config.curriculum, config.steps) if config.curriculum else None
        self.optimizers, self.schedulers = _optimizers(config, self.net, self.clock)
        self.average = EMA(self.net, config.ema, (PUZZLE,)) if config.ema else None
        self.sampler = Sampler(config, data.train, config.batch)
        self.streams = config.rollout == "serial_act"
        if self.streams:
            self._carry, self._next = self._empty(), self._empty()
        self._tallies = torch.zeros(len(TALLIES), 2, dtype=torch.float64, device=device)
        self._tallied = torch.zeros(config.batch, len(TALLIES), 2, dtype=torch.float64, device=device)
        self._arrived: dict[int, dict[str, Perturbation]] = {}
        """The measured noise of the step under way, by the first slot of each micro-batch."""
        self._last: Mapping[str, Perturbation] = {}

    def _empty(self) -> dict[str, Tensor]:
        """Returns a carry without boards, [rows, K, ...] by name."""
        carry = act.fresh(self.net, self.config.batch * self.config.trajectories)
        size = (self.config.batch, self.config.trajectories)
        return {name: tensor.reshape(*size, *tensor.shape[1:]).clone() for name, tensor in carry.tensors().items()}

    def carried(self) -> Mapping[str, Tensor]:
        """Returns the carry that ACT streams on, [rows, K, ...] by name.

        Empty without streaming.
        """
        return self._carry if self.streams else {}

    def samples(self, batch: Batch) -> int:
        """Returns boards times trajectories times segments."""
        return len(batch["inputs"]) * self.config.samples_per_board

    def batch(self, step: int) -> Batch:
        """Returns the batch of a step, a pure function of the configuration and the step."""
        given, config = self.sampler.rows(step), self.config
        rows = len(given["inputs"])
        arrays = {
            **given,
            "slot": np.arange(rows),
            "seed": np.random.default_rng((config.seed, step, _NOISE)).integers(2**62, size=rows),
        }
        if self.streams:
            arrays["least"] = _least(config, np.random.default_rng((config.seed, step, _LEAST)), rows)
        return tensors(arrays, self.device)

    def losses(self, model: nn.Module, batch: Batch, progress: float) -> dict[str, Tensor]:
        """Returns the loss terms.

        `lm` is the cross entropy of the boards; `q_halt` and, if it is learned, `q_continue` are
        weighted by 0.5.
        """
        return (self._stream if self.streams else self._unroll)(model, batch, progress)

    def _starts(self, batch: Batch, progress: float) -> tuple[tuple[Tensor, Tensor], perturb.Starts]:
        """Returns the clean starts of the batch's rows, and the perturbed ones."""
        clean = self.net.start(len(batch["seed"]))
        return clean, perturb.starts(
            self.config, *clean, batch["seed"], perturb.grown(self.config, self.clock, progress)
        )

    def _copies(self, batch: Batch) -> dict[str, Tensor]:
        """Returns the boards of K trajectories, and what is shown beside them, by name.

        The k-th trajectory of all rows stands before the next.
        """
        count = self.config.trajectories
        given = {"inputs": "inputs", "labels": "labels", "puzzles": "puzzle", **{name: name for name in self.net.shown}}
        return {ours: batch[name].repeat(count, *[1] * (batch[name].dim() - 1)) for ours, name in given.items()}

    def _stream(self, model: nn.Module, batch: Batch, progress: float) -> dict[str, Tensor]:
        """Makes one segment of each slot's K trajectories, one trajectory after another."""
        count, slots = self.config.trajectories, batch["slot"]
        before = act.Carry.of(
            {name: tensor[slots].transpose(0, 1).flatten(0, 1) for name, tensor in self._carry.items()}
        )
        fresh = before.halted
        self._arrived.pop(int(slots[0]), None)
        if fresh.any():
            clean, starts = self._starts(batch, progress)
            self._arrived[int(slots[0])] = perturb.arrived(
                self.config, clean, starts._replace(sigma=starts.sigma * fresh)
            )
            before = act.begin(before, **self._copies(batch), z_h=starts.z_h, z_l=starts.z_l)
        said: Rollout = model(
            before.inputs,
            before.puzzles,
            before.z_h,
            before.z_l,
            parts=count,
            ahead=self.net.looks_ahead,
            **before.shown,
            **self._beside(batch, fresh),
        )
        least = batch["least"].T.flatten()
        after = act.advance(before, said, self.net, training=True, least=least)
        found = judge(self.config, said, before.labels, after.steps[None])
        self._note(slots, found, said, after.halted[None], after.steps[None])
        for name, tensor in after.tensors().items():
            self._next[name][slots] = tensor.view(count, len(slots), *tensor.shape[1:]).transpose(0, 1)
        return self._terms(slots, said, terms(found, torch.ones_like(said.q_halt, dtype=torch.bool)))

    def _unroll(self, model: nn.Module, batch: Batch, progress: float) -> dict[str, Tensor]:
        """Makes all segments of all trajectories at once, so that no slot takes another board."""
        limit = self.config.halt_max_steps
        clean, starts = self._starts(batch, progress)
        self._arrived[int(batch["slot"][0])] = perturb.arrived(self.config, clean, starts)
        rows = self._copies(batch)
        rows |= {name: batch[name] for name in self.net.shown}  # once for all trajectories of a board
        labels = rows.pop("labels")
        rows |= {"z_h": starts.z_h, "z_l": starts.z_l, **self._beside(batch, None)}
        said: Rollout = model(segments=limit, ahead=self.net.looks_ahead, **rows)
        steps = torch.arange(1, limit + 1, device=self.device)[:, None]
        found, counts = judge(self.config, said, labels, steps), active(self.net, said)
        last = counts & ~torch.cat([counts[1:], torch.zeros_like(counts[:1])])
        self._note(batch["slot"], found, said, last, steps.expand_as(last))
        return self._terms(batch["slot"], said, terms(found, counts))

    def _beside(self, batch: Batch, fresh: Tensor | None) -> dict[str, Tensor]:
        """Returns what else the model is given in training, [K * rows, ...] by name.

        `fresh`, bool [K * rows], says which trajectories have just begun; None if all have.
        """
        return {}

    def _terms(self, slots: Tensor, said: Rollout, found: dict[str, Tensor]) -> dict[str, Tensor]:
        """Returns the loss terms of a rollout, given those that every model has."""
        return found

    def _note(self, slots: Tensor, found: Judged, said: Rollout, ended: Tensor, steps: Tensor) -> None:
        """Notes sums and counts of the trajectories that ended, by slot.

        `ended` is bool [T, R]. The sums are in the order of `TALLIES`.
        """
        true = (said.q_halt.detach() >= 0) == found.exact
        counted = [value.double() * ended for value in (found.accuracy, found.exact, true, steps)]
        sums = torch.stack([torch.stack([total, ended.double()], -1) for total in counted], -2)
        self._tallied[slots] = sums.sum(0).view(self.config.trajectories, len(slots), len(TALLIES), 2).sum(0)

    def after_step(self, step: int) -> None:
        """Takes over the new carry, and updates the averaged weights."""
        if self.streams:
            self._carry, self._next = self._next, self._carry
        self._tallies += self._tallied.sum(0)
        self._last = self.perturbations() or self._last
        self._arrived.clear()
        if self.average is not None:
            self.average.update()

    def tallies(self) -> Mapping[str, Tensor]:
        """Returns sums and counts by name over the trajectories that ended, and starts anew."""
        found = self._tallies
        self._tallies = torch.zeros_like(found)
        return dict(zip(TALLIES, found, strict=True))

    def predictions(self, output: Any) -> Tensor:
        """Returns the boards that the last segment filled in, int64 [rows, tokens]."""
        if not isinstance(output, Rollout):
            return super().predictions(output)
        return output.logits[-1].argmax(-1)

    def perturbations(self) -> Mapping[str, Perturbation]:
        """Returns the measured noise of the starts of the step under way."""
        return perturb.together(list(self._arrived.values()))

    def evaluate(self, split: Split) -> dict[str, Measure]:
        """Returns every metric on a split, with the averaged weights."""
        with self._averaged():
            return self._scored(split)

    def strata(self, metric: str) -> I64 | None:
        """Returns the tasks of known boards; None for what takes more than the clean rollout."""
        return strata(self.data.puzzle, self.data.validation) if metric in (*CLEAN, "shape") else None

    def evaluate_part(self, metric: str, units: I64) -> dict[str, Measure]:
        """Returns the metrics of the clean rollout, with the averaged weights."""
        with self._averaged():
            return score_clean(self.net, of_units(self.data.puzzle, self.data.validation, units), self.device)

    def _averaged(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext() if self.average is None else self.average.applied()

    def _scored(self, split: Split) -> dict[str, Measure]:
        """Returns every metric on a split, with the weights as they are."""
        boards = self.data.scored(split)
        perturbed = probed(self.data, split) if self.config.probes_dynamics else 0
        found = score(self.net, boards, perturbed, self.device)
        return {**found, **passes(self.net, boards, self.config, self.device)}

    def facts(self, step: int) -> dict[str, float]:
        """Returns what a start brought, and how far the noise has grown with that of the last step
        that had any.
        """
        start = self.data.start
        brought = {} if start is None else {"start/steps": float(start.step), "start/samples": float(start.samples)}
        if self.config.mode == "none":
            return brought
        noise = {
            f"noise/{name}/{part}": value
            for name, found in self._last.items()
            for part, value in found._asdict().items()
        }
        return {**brought, "noise_ramp": perturb.grown(self.config, self.clock, step / self.config.steps), **noise}

    def state_dict(self) -> dict[str, Any]:
        """Returns the carry, the noise that `facts` tells, and the averaged weights."""
        noise = {name: list(found) for name, found in self._last.items()}
        average = {"average": self.average.state_dict()} if self.average is not None else {}
        return {"carry": {name: tensor.clone() for name, tensor in self.carried().items()}, "noise": noise, **average}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """The inverse of `state_dict`."""
        for name, tensor in self.carried().items():
            tensor.copy_(state["carry"][name])
        self._last = {name: Perturbation(*values) for name, values in state["noise"].items()}
        if self.average is not None:
            self.average.load_state_dict(state["average"])


def _least(config: RecursiveConfig, generator: np.random.Generator, rows: int) -> Any:
    """Draws the segments below which a trajectory may not halt, int64 [rows, K].

    They are random for a share of the trajectories, else 0.
    """
    size = (rows, config.trajectories)
    explored = generator.random(size) < config.explore
    return explored * generator.integers(2, max(2, config.halt_max_steps) + 1, size=size)


def _optimizers(
    config: RecursiveConfig, net: RecursiveNet, clock: StageClock | None
) -> tuple[list[Optimizer], list[LRScheduler]]:
    puzzle, rest = puzzle_parameters(net)
    dense: dict[str, Any] = {"lr": config.lr, "betas": (0.9, 0.95), "weight_decay": config.weight_decay}
    kind = AdamATan2 if config.optimizer == "adam_atan2" else torch.optim.AdamW
    optimizers: list[Optimizer] = [kind(rest, **dense)]
    clip_at_step(optimizers[0], config.clip)
    if puzzle:
        optimizers.append(SignSGD(puzzle, lr=config.puzzle_lr, weight_decay=config.puzzle_weight_decay))
    return optimizers, [schedule(optimizer, config, clock) for optimizer in optimizers]
