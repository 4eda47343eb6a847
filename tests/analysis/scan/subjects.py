"""Networks whose answers are known, and a sweep of trials with a real ledger and real checkpoints."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from leadline.config import make
from leadline.measure import Measure, Report
from leadline.training.loop import Loop
from tests.analysis.trained_sweep import trained_sweep
from trainables.scan.config import ScanConfig
from trainables.scan.data import ScanData
from trainables.scan.family import SCAN
from trainables.scan.grammar import ACTIONS, END, SPECIALS, WORDS
from trainables.scan.interpreter import interpret
from trainables.scan.rules import RULES

SMALL: dict[str, Any] = {
    "split": "addprim_turn_left",
    "width": 8,
    "batch": 16,
    "steps": 8,
    "eval_every": 8,
    "eval_commands": 20,
    "eval_rules": 40,
    "stages": ("joint:1:modified=0.5:rules=simple+complex+novel",),
}
TOKENS = (*SPECIALS, *ACTIONS)


def config(**values: Any) -> ScanConfig:
    return make(ScanConfig, {**SMALL, **values})


@cache
def data() -> ScanData:
    """What every configuration here trains on and is scored on."""
    torch.set_num_threads(1)
    return SCAN.build_data(config())


class Scripted(nn.Module):
    """Answers as the interpreter does, but for actions that it takes for others."""

    def __init__(self, **faults: str) -> None:
        super().__init__()
        self.faults = faults

    def encode(self, rules: Tensor, commands: Tensor) -> tuple[Tensor, ...]:
        answers = [self._answer(rule, command) for rule, command in zip(rules.tolist(), commands.tolist(), strict=True)]
        width = max(map(len, answers))
        padded = [answer + [END] * (width - len(answer)) for answer in answers]
        return torch.tensor(padded), torch.zeros(len(answers), dtype=torch.long)

    def _answer(self, rule: list[int], command: list[int]) -> list[int]:
        parts = tuple(list(RULES.values())[token - 1] for token in rule if token)
        said = interpret([WORDS[token - len(SPECIALS)] for token in command if token], parts)
        return [TOKENS.index(self.faults.get(action, action)) for action in said] + [END]

    def step(self, state: tuple[Tensor, ...], action: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        answers, place = state
        said = answers.gather(1, place[:, None])[:, 0]
        return nn.functional.one_hot(said, len(TOKENS)).float() * 50, (answers, place + 1)


class Numberless(Scripted):
    """A network that says no number, as one whose training has diverged."""

    def step(self, state: tuple[Tensor, ...], action: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        logits, state = super().step(state, action)
        return logits * np.nan, state


def trained(chosen: ScanConfig) -> Loop:
    loop = Loop(SCAN, chosen, data())
    for _ in loop.run():
        pass
    loop.task.model.eval()
    return loop


def sweep_of(folder: Path, family: str = "scan", exact: tuple[float, ...] = (0.0, 1.0)) -> Path:
    """A finished sweep, a trial for each value of `exact` that its last report is made to have."""

    def made(trial: int, report: Report) -> Report:
        if report.step < SMALL["steps"]:
            return report
        value = exact[trial]
        metrics = {**report.metrics, "validation/exact": Measure(value, 20, value, value)}
        return Report(**{**vars(report), "metrics": metrics})

    configs = [config(seed=number) for number in range(len(exact))]
    return trained_sweep(folder, SCAN, configs, data(), called=family, like=config(), reported=made)
