"""The family of HRM-style networks: two stacks of encoder layers that take turns on a board."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, cast

import numpy as np

from leadline.config import TrialConfig
from leadline.family import Family
from leadline.finding import Finding
from leadline.measure import Measure, Metric
from leadline.plain import plural
from trainables.arc_hrm.config import ArcHRMConfig
from trainables.arc_hrm.metrics import METRICS
from trainables.arc_hrm.presets import PRESETS
from trainables.puzzles.config import BOARD_HELP
from trainables.puzzles.puzzle import PAD

if TYPE_CHECKING:  # what trains is imported where it trains: see `Family`
    import torch
    from torch import nn

    from leadline.task import Split
    from leadline.training.guards.guard import Guard
    from trainables.arc_hrm.model import ArcHRM
    from trainables.arc_hrm.task import ArcHRMTask
    from trainables.puzzles.data import PuzzleData

__all__ = ["ARC_HRM", "AnsweredBoard", "ArcHRMFamily"]


@dataclasses.dataclass(frozen=True)
class AnsweredBoard:
    """A network's answer to a board.

    Attributes:
        board: the answered board, as lines of text.
        valid: whether it solves the board: what was given is kept, and the puzzle's rules hold;
            None where that cannot be known, as for grids.
        cycles: the cycles that the answer took.
        halt: the probability of halting after the last of them.
    """

    board: tuple[str, ...]
    valid: bool | None
    cycles: int
    halt: float

    def __str__(self) -> str:
        return "\n".join(self.board)


class ArcHRMFamily(Family[ArcHRMConfig]):
    """HRM-style networks of encoder layers that stop as a batch, on the boards of any puzzle.

    Such a network sees a board and, with `demonstrations_in_input`, its demonstrations; never which
    task it belongs to.
    """

    name = "arc_hrm"
    Config = ArcHRMConfig
    metrics: ClassVar[tuple[Metric, ...]] = METRICS
    input_help = BOARD_HELP
    objective = "exact"
    beside = ("cells", "cells_without_pad")
    commands: ClassVar[Mapping[str, str]] = {"failures": "analysis.grids.commands:FAILURES"}
    studies: ClassVar[Mapping[str, str]] = {
        "lookahead": "search_spaces.lookahead.arc_hrm:STUDY",
        "batch_size": "search_spaces.batch_size.arc_hrm:STUDY",
        "curriculum_length": "search_spaces.curriculum_length.grids:ARC_HRM",
    }
    presets: ClassVar[Mapping[str, Callable[[float], TrialConfig]]] = PRESETS
    claims = "analysis.arc_hrm.claims:CLAIMS"
    opening = "analysis.arc_hrm.opening:opening"

    def data_key(self, config: ArcHRMConfig) -> str:
        """Names the data by all that decides the boards."""
        return config.data_key

    def build_data(self, config: ArcHRMConfig) -> PuzzleData:
        """Builds the boards of the three splits.

        Raises:
            ConfigError: if there are not so many boards.
        """
        from trainables.puzzles.data import build

        return build(config)

    def audit(self, config: ArcHRMConfig, data: PuzzleData) -> list[Finding]:
        """Checks the boards and the configuration.

        The findings are on the overlap up to symmetry, whether every board has one answer, the
        share of PAD among the labels, tasks that the network cannot tell apart, and fields without
        effect.
        """
        from trainables.puzzles import audit

        unused = config.unused()
        idle = [Finding("unused_fields", False, len(unused), f"{'; '.join(unused)}.")] if unused else []
        return [*audit.audit(data), *_padding(data), *_unnamed_tasks(config, data), *idle]

    def baselines(self, config: ArcHRMConfig, data: PuzzleData, split: Split) -> dict[str, dict[str, Measure]]:
        """Scores the puzzle's predictors without a trained parameter, and all PAD."""
        from trainables.arc_hrm import baselines

        return baselines.baselines(data, split, config.votes)

    def task(self, config: ArcHRMConfig, data: PuzzleData, device: torch.device) -> ArcHRMTask:
        """Returns a fresh task."""
        from trainables.arc_hrm.task import ArcHRMTask

        return ArcHRMTask(config, data, device)

    def model(self, config: ArcHRMConfig) -> ArcHRM:
        """Returns the untrained network, on the CPU."""
        from trainables.arc_hrm.model import network

        return network(config)

    def guards(self, config: ArcHRMConfig) -> Sequence[Guard]:
        """Returns the guard on answers that hardly depend on the board."""
        from trainables.arc_hrm.guards import NearConstant

        return [NearConstant()]

    def predict(self, model: nn.Module, inputs: Any, config: ArcHRMConfig) -> AnsweredBoard:
        """Answers a board, as a trial is scored.

        Args:
            model: the network.
            inputs: a board of the configuration's puzzle and size: text, lines of text, or lists of
                cells; a grid may stand in a mapping, as its `query`, beside `demonstrations`.
            config: says which puzzle it is, and its size.

        Raises:
            ConfigError: beginning with `inputs`, if it is no such board, or has no demonstrations
                where the network looks at them.
        """
        from trainables.arc_hrm.scoring import answers

        net, puzzle = cast("ArcHRM", model), config.puzzle
        rows = config.read(inputs)
        board = rows["inputs"]
        found = answers(net, rows, next(net.parameters()).device)
        answer = puzzle.settled(found.tokens[0].clip(min=PAD).astype(np.uint8))
        valid = puzzle.solves(board[0].astype(np.uint8), answer) if puzzle.has_solver else None
        return AnsweredBoard(puzzle.show(answer), valid, int(np.nan_to_num(found.cycles[0])), float(found.halt[0]))

    def example(self, config: ArcHRMConfig) -> Any:
        """Returns a board of the configuration's puzzle, as lines of text."""
        return config.puzzle.example


def _padding(data: PuzzleData) -> list[Finding]:
    """Says what share of the validation labels is PAD, if any is: all PAD scores it on `cells`."""
    share = float((data.validation.labels == PAD).mean())
    sentence = f"{share:.1%} of the cells of validation labels are PAD, which a constant has right on `cells`."
    return [Finding("padding", False, share, sentence)] if share else []


def _unnamed_tasks(config: ArcHRMConfig, data: PuzzleData) -> list[Finding]:
    """Says that the network is not told the task, where boards belong to tasks."""
    numbers = data.puzzle.tasks(data.train)
    if numbers is None or config.demonstrations_in_input:
        return []
    tasks = len(np.unique(numbers))
    sentence = f"Training boards are of {plural(tasks, 'task')}, and the network sees neither task nor demonstrations."
    return [Finding("unnamed_tasks", False, tasks, sentence)]


ARC_HRM = ArcHRMFamily()
"""The family of HRM-style networks of encoder layers."""
