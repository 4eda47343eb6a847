"""One trial: the network, its optimizer, the batches and the scores."""

from __future__ import annotations

import math
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.lr_scheduler import LambdaLR

from leadline.curriculum import StageClock
from leadline.measure import Measure
from leadline.task import Batch, Split, Task
from leadline.training.clipping import clip_at_step
from trainables.scan.config import ScanConfig
from trainables.scan.data import ScanData
from trainables.scan.decoding import Decodable, decode
from trainables.scan.grammar import ACTIONS, END, PAD, SPECIALS, START, WORDS
from trainables.scan.lstm import AttentionLSTM, LoggedLSTM
from trainables.scan.metrics import score
from trainables.scan.rows import Rows, Sampler, drawn, scored
from trainables.scan.rules import RULES
from trainables.scan.transformer import Transformer

__all__ = ["ScanTask", "network"]

I64 = npt.NDArray[np.int64]

_ROWS_OF = {"tokens": "exact"}
"""The metric whose rows another one is measured on, too."""
POSITIONS = 256
"""Positions that a transformer has codes for; the longest answer has 121, its END included."""


def network(config: ScanConfig) -> nn.Module:
    """Returns the untrained network of a configuration, on the CPU."""
    words, actions, rules = len(SPECIALS + WORDS), len(SPECIALS + ACTIONS), 1 + len(RULES)
    if config.model == "lstm":
        # The log tells of a rule in the words of commands, so its table has as many rows.
        return LoggedLSTM(words, words if config.reads_rules else 0, actions, config.width, config.dropout)
    if config.model == "attention":
        return AttentionLSTM(words, rules, actions, config.width, config.dropout)
    return Transformer(
        config.shape, words, rules, actions, POSITIONS, config.dropout, config.precision, config.recompute
    )


class ScanTask(Task):
    """One trial of the SCAN family.

    A batch holds, by row:

    * `rules`, `commands`: int64 [rows, parts] and [rows, words];
    * `inputs`, `labels`: int64 [rows, positions], the answer after START, and with END;
    * `weight`: float32 [rows], by which the mean over rows of summed losses becomes the mean over
      all actions of the batch, however it is divided.
    """

    def __init__(self, config: ScanConfig, data: ScanData, device: torch.device) -> None:
        self.config = config
        self.data = data
        self.device = device
        self.model = network(config).to(device)
        self.clock = clock = StageClock(config.curriculum, config.steps)
        trained = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        self.optimizers = [torch.optim.AdamW(trained, lr=config.lr, weight_decay=config.weight_decay)]
        clip_at_step(self.optimizers[0], config.clip, config.clip_by)
        self.schedulers = [LambdaLR(self.optimizers[0], lambda step: _decay(config, step) * clock.at(step).rate)]
        self.sampler = Sampler(config, data)
        self._scored: dict[Split, dict[str, Rows]] = {}

    def batch(self, step: int) -> Batch:
        """Returns the batch of a step, a pure function of configuration, step and stage."""
        rows = self.sampler.rows(step, cast(StageClock, self.clock).at(step))
        before = np.concatenate([np.full((len(rows.actions), 1), START), rows.actions[:, :-1]], 1)
        lengths = (rows.actions != PAD).sum(1)
        arrays: dict[str, npt.NDArray[Any]] = {
            "rules": rows.rules,
            "commands": rows.commands,
            "inputs": np.where(before == END, PAD, before),
            "labels": rows.actions,
            "weight": np.full(len(lengths), len(lengths) / lengths.sum(), dtype=np.float32),
        }
        return {name: torch.from_numpy(array).to(self.device) for name, array in arrays.items()}

    def losses(self, model: nn.Module, batch: Batch, progress: float) -> dict[str, Tensor]:
        """Returns the cross entropy of the actions, END included, given those before them."""
        logits = model(batch["rules"], batch["commands"], batch["inputs"])
        each = functional.cross_entropy(
            logits.transpose(1, 2),
            batch["labels"],
            ignore_index=PAD,
            reduction="none",
            label_smoothing=self.config.smoothing,
        )
        return {"cross_entropy": (each.sum(1) * batch["weight"]).mean()}

    def after_step(self, step: int) -> None:
        """Throws model and optimizer away where `clear_every` says so, as the log's loop did."""
        if self.config.clear_every and step % self.config.clear_every == 0:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(int(np.random.SeedSequence([self.config.seed, step]).generate_state(1)[0]))
                self.model.load_state_dict(network(self.config).state_dict())
            self.optimizers[0].state.clear()

    def evaluate(self, split: Split) -> dict[str, Measure]:
        """Scores the answers to a split's commands, under no rule and under rules."""
        rows = self._rows(split)
        return score(rows, {name: self._answers(part) for name, part in rows.items()})

    def _rows(self, split: Split) -> dict[str, Rows]:
        """The rows that a split is scored on, by metric."""
        if split not in self._scored:
            self._scored[split] = scored(self.config, self.data, split)
        return self._scored[split]

    def strata(self, metric: str) -> I64 | None:
        """Returns the rules of the commands of a metric; None for one whose units are rules."""
        rows = self._rows("validation").get(_ROWS_OF.get(metric, metric))
        return None if rows is None else rows.names

    def evaluate_part(self, metric: str, units: I64) -> dict[str, Measure]:
        """Scores the answers to some of the commands of a metric."""
        name = _ROWS_OF.get(metric, metric)
        rows = Rows(*(column[units] for column in self._rows("validation")[name]))
        found = score({name: rows}, {name: self._answers(rows)})
        return {metric: found[metric]}

    def _answers(self, rows: Rows) -> I64:
        """Answers to rows, int64 [rows, positions]; -1 in rows where the network says no number.

        An answer that has not ended where the longest right one has is wrong, and is given up.
        """
        if not len(rows.commands):  # as no rule of a group is among the data's
            return rows.actions
        rules, commands = (torch.from_numpy(part).to(self.device) for part in (rows.rules, rows.commands))
        found = decode(cast(Decodable, self.model), rules, commands, rows.actions.shape[1], self.config.beam)
        return found.actions.masked_fill(found.score.isnan()[:, None], -1).cpu().numpy()

    def exact(self, split: Split, commands: int) -> Measure:
        """Scores exact match on the first commands of a fixed draw from a split, under no rule."""
        rows = {"exact": drawn(self.config, self.data, split, commands)}
        return score(rows, {"exact": self._answers(rows["exact"])})["exact"]

    def facts(self, step: int) -> dict[str, float]:
        """Returns the share of rows under a rule at the last step."""
        return {"modified": self.sampler.share(cast(StageClock, self.clock).at(step - 1))}


def _decay(config: ScanConfig, step: int) -> float:
    """Returns the factor on the learning rate at a step, from 0: the warm-up, then the schedule."""
    rising = config.warmup * config.steps
    if step < rising:
        return (step + 1) / (rising + 1)
    return 0.5 + 0.5 * math.cos(math.pi * step / config.steps) if config.schedule == "cosine" else 1.0
