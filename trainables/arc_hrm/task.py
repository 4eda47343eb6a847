"""One trial: the network, its optimizer, the batches and the scores."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from leadline.measure import Measure
from leadline.task import Batch, Split, Task
from leadline.training.clipping import clip_at_step
from trainables.arc_hrm.config import ArcHRMConfig
from trainables.arc_hrm.losses import IGNORED, targets, terms
from trainables.arc_hrm.model import ArcHRM, Thought, network
from trainables.arc_hrm.scoring import passes, read_of, score, score_known
from trainables.puzzles.data import PuzzleData, Sampler
from trainables.puzzles.puzzle import I64
from trainables.puzzles.scoring import of_units, strata

__all__ = ["ArcHRMTask", "rate"]


def rate(config: ArcHRMConfig, step: int) -> float:
    """Returns the factor on the learning rate at a step, from 0.

    It rises linearly over the warm-up, R steps, in which it is (step + 1) / (R + 1). After it the
    factor is 1, or (1 + cos(pi t / T)) / 2 with t the steps since the warm-up modulo the period T
    (Loshchilov and Hutter 2017, equation 5, with a lowest rate of 0 and equal periods).
    """
    rising = round(config.warmup * config.steps)
    if step < rising:
        return (step + 1) / (rising + 1)
    if config.schedule == "constant":
        return 1.0
    return (1 + math.cos(math.pi * ((step - rising) % config.restart_period) / config.restart_period)) / 2


class ArcHRMTask(Task):
    """One trial of the family.

    A batch holds, by row:

    * `inputs`, `labels`: int64 [rows, cells]; a label of -100 is not counted;
    * `shown`: int64 [rows, grids, cells], the demonstrations' grids where they are in the input;
    * `weight`: float32 [rows], by which the mean over rows of summed losses becomes the mean over
      all counted cells of the batch, however it is divided;
    * `slot`: int64 [rows], the row's number.
    """

    def __init__(self, config: ArcHRMConfig, data: PuzzleData, device: torch.device) -> None:
        self.config = config
        self.data = data
        self.device = device
        self.model = network(config).to(device)
        self.optimizers = [torch.optim.AdamW(self.net.parameters(), lr=config.lr, weight_decay=config.weight_decay)]
        clip_at_step(self.optimizers[0], config.clip)
        self.schedulers = [LambdaLR(self.optimizers[0], lambda step: rate(config, step))]
        self.sampler = Sampler(config, data.train, config.batch)
        self._cycles = torch.zeros(config.batch, dtype=torch.float64, device=device)
        """The cycles of the step under way, by slot; 0 in those of other workers."""
        self._tally = torch.zeros(2, dtype=torch.float64, device=device)

    @property
    def net(self) -> ArcHRM:
        """The model, which is always of this type."""
        return cast(ArcHRM, self.model)

    def batch(self, step: int) -> Batch:
        """Returns the batch of a step, a pure function of configuration and step."""
        rows = self.sampler.rows(step)
        read = {name: torch.from_numpy(array) for name, array in read_of(self.config, rows).items()}
        inputs, counted = read["inputs"], targets(torch.from_numpy(rows["labels"]), self.config.pad)
        cells = max(1, int((counted != IGNORED).sum()))
        batch = {
            **read,
            "labels": counted,
            "weight": torch.full((len(inputs),), len(inputs) / cells),
            "slot": torch.arange(len(inputs)),
        }
        return {name: tensor.to(self.device) for name, tensor in batch.items()}

    def losses(self, model: nn.Module, batch: Batch, progress: float) -> dict[str, Tensor]:
        """Returns the cross entropy of the cells, and the penalty on halting.

        The rows stop together, so that other micro-batches may run other numbers of cycles.
        """
        said: Thought = model(batch["inputs"], batch.get("shown"))
        self._cycles[batch["slot"]] = said.cycles.double()
        config = self.config
        return terms(said, batch["labels"], batch["weight"], config.label_smoothing, config.halt_penalty)

    def after_step(self, step: int) -> None:
        """Counts the cycles of the step."""
        self._tally += torch.stack([self._cycles.sum(), (self._cycles > 0).sum()])

    def tallies(self) -> Mapping[str, Tensor]:
        """Returns sum and count of the cycles that rows were trained for, and starts anew."""
        found, self._tally = self._tally, torch.zeros_like(self._tally)
        return {"train/cycles": found}

    def predictions(self, output: Any) -> Tensor:
        """Returns the boards that were answered, int64 [rows, cells]."""
        return output.logits.argmax(-1) if isinstance(output, Thought) else super().predictions(output)

    def evaluate(self, split: Split) -> dict[str, Measure]:
        """Returns every metric on a split, each board stopping on its own."""
        boards = self.data.scored(split)
        found = score(self.net, self.data.puzzle, boards, self.device)
        return {**found, **passes(self.net, boards, self.config, self.device)}

    def strata(self, metric: str) -> I64 | None:
        """Returns the tasks of known boards; None for votes, and for new rules."""
        apart = metric.startswith("pass") or metric == "exact_new"
        return None if apart else strata(self.data.puzzle, self.data.validation)

    def evaluate_part(self, metric: str, units: I64) -> dict[str, Measure]:
        """Returns every metric but those of votes and new rules on some of the known boards."""
        chosen = of_units(self.data.puzzle, self.data.validation, units)
        return score_known(self.net, self.data.puzzle, chosen, self.device)
