"""The families HRM, TRM and ETRM: recursive reasoning on boards.

Their latent starts may be perturbed. ETRM's boards come with demonstrations.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, cast

import numpy as np

from leadline.config import ConfigError, TrialConfig
from leadline.curriculum import Curriculum
from leadline.family import Family
from leadline.finding import Finding
from leadline.measure import Measure, Metric
from trainables.puzzles.config import BOARD_HELP
from trainables.recursive.config import ETRMConfig, HRMConfig, RecursiveConfig, TRMConfig
from trainables.recursive.metrics import COLLAPSE, METRICS, START_STEPS
from trainables.recursive.presets import ETRM_PRESETS, HRM_PRESETS, TRM_PRESETS

if TYPE_CHECKING:  # what trains is imported where it trains: see `Family`
    import torch
    from torch import Tensor, nn

    from leadline.task import Split
    from leadline.training.guards.guard import Guard
    from trainables.recursive.encoder_task import ETRMTask
    from trainables.recursive.model import RecursiveNet
    from trainables.recursive.start import RecursiveData
    from trainables.recursive.task import RecursiveTask

__all__ = [
    "ETRM_FAMILY",
    "HRM_FAMILY",
    "TRM_FAMILY",
    "ETRMFamily",
    "FilledBoard",
    "HRMFamily",
    "RecursiveFamily",
    "TRMFamily",
]

C = TypeVar("C", bound=RecursiveConfig)

STUDIES = ("lookahead", "curriculum_length", "batch_size", "sigma_bands")


def _studies(name: str) -> dict[str, str]:
    """Returns where the answers to the studies stand; `name` is the constant in each file."""
    return {study: f"search_spaces.{study}.recursive:{name}" for study in STUDIES}


@dataclasses.dataclass(frozen=True)
class FilledBoard:
    """A network's answer to a board.

    Attributes:
        board: the filled board, as lines of text.
        valid: whether it solves the board: what was given is kept, and the puzzle's rules hold;
            None where that cannot be known, as for grids.
        segments: how many segments the answer took: `halt_max_steps`, as when a trial is scored.
        halting_segment: after how many of them Q would have halted.
        q_halt: logit of Q-halt after the last segment; at 0 or above the network takes its answer
            for right.
    """

    board: tuple[str, ...]
    valid: bool | None
    segments: int
    halting_segment: int
    q_halt: float

    def __str__(self) -> str:
        return "\n".join(self.board)


class RecursiveFamily(Family[C], Generic[C]):
    """The family of HRM or TRM: what both share.

    Configurations share their data if they differ neither in a field of the boards nor in their
    start.
    """

    metrics: ClassVar[tuple[Metric, ...]] = METRICS
    input_help = BOARD_HELP
    objective = "exact"
    beside: ClassVar[tuple[str, ...]] = ("robust", "lambda1")
    commands: ClassVar[Mapping[str, str]] = {"failures": "analysis.grids.commands:FAILURES"}
    figures = "analysis.recursive.figures:figures"
    decoders: ClassVar[Mapping[str, Family[Any]]] = {}
    """Other families by name whose checkpoints a start may be, too: their decoder is taken."""

    def data_key(self, config: C) -> str:
        """Names the data by all that decides the boards, and by the checkpoint to begin with."""
        return config.data_key + (f"-start-{self.name}-{config.start}" if config.start else "")

    def samples_per_step(self, config: C) -> int:
        """Returns boards times trajectories times segments.

        K trajectories then do not get K times the compute for the same budget.
        """
        return config.batch * config.samples_per_board

    def curriculum(self, config: C) -> Curriculum | None:
        """Returns the stages of a configuration, or None where `ramp` decides."""
        return config.curriculum

    def build_data(self, config: C) -> RecursiveData:
        """Builds the boards of the three splits and reads the weights to begin with.

        Raises:
            ConfigError: if there are not so many boards, or the start is not there or of another
                architecture.
        """
        from trainables.puzzles.data import build
        from trainables.recursive.start import RecursiveData, read_start

        start = read_start(self, config, self.decoders)
        return RecursiveData(**vars(build(config)), start=start)

    def audit(self, config: C, data: RecursiveData) -> list[Finding]:
        """Checks the data and the configuration.

        The findings are on the overlap up to symmetry, whether every board has one solution, fields
        without effect, and what the start was trained on.
        """
        from trainables.puzzles import audit
        from trainables.recursive.start import audit_start

        unused = config.unused()
        idle = [Finding("unused_fields", False, len(unused), f"{'; '.join(unused)}.")] if unused else []
        found = [*audit.audit(data), *idle]
        return found if data.start is None else [*found, audit_start(config, data.start)]

    def baselines(self, config: C, data: RecursiveData, split: Split) -> dict[str, dict[str, Measure]]:
        """Scores the predictors without a trained parameter, and the solver as the oracle."""
        from trainables.recursive import baselines

        return baselines.baselines(data, split, config.votes)

    def task(self, config: C, data: RecursiveData, device: torch.device) -> RecursiveTask:
        """Returns a fresh task.

        Raises:
            ConfigError: if the start is of another architecture.
        """
        from trainables.recursive.start import fits

        if data.start is not None:
            fits(data.start, config)
        return self._task(config, data, device)

    def _task(self, config: C, data: RecursiveData, device: torch.device) -> RecursiveTask:
        from trainables.recursive.task import RecursiveTask

        return RecursiveTask(config, data, device)

    def model(self, config: C) -> RecursiveNet:
        """Returns the untrained network, on the CPU."""
        from trainables.recursive.model import network

        return network(config)

    def predict(self, model: nn.Module, inputs: Any, config: C) -> FilledBoard:
        """Fills in a board from the clean start, after all segments, as a trial is scored.

        Args:
            model: the network.
            inputs: a board of the configuration's puzzle and size: text, lines of text, or lists of
                cells. Sudoku: digits, and `0` or `.` where it is open. Maze: `#` wall, `.` floor,
                `S` start, `G` goal. Grids: rows of colours 0 to 9, or a mapping of such a `query`,
                `demonstrations`, pairs of grids, and `task`, the name of a task with an embedding.
            config: says which puzzle it is, and its size.

        Raises:
            ConfigError: beginning with `inputs`, if it is no such board.
        """
        import torch

        from trainables.recursive.scoring import halting_step, tensors, think

        net, puzzle = cast("RecursiveNet", model), config.puzzle
        rows = config.read(inputs)
        if config.task_embedding and puzzle.identifiers > 1 and not (isinstance(inputs, Mapping) and "task" in inputs):
            raise ConfigError("inputs: needs `task`, the name of the task whose embedding answers")
        device = next(net.parameters()).device
        with torch.no_grad():
            said = think(net, tensors(rows, device))
            halting_segment = int(halting_step(net, said)[0])
        answer = puzzle.settled(said.logits[-1, 0].argmax(-1).cpu().numpy().astype(np.uint8))
        valid = puzzle.solves(rows["inputs"][0].astype(np.uint8), answer) if puzzle.has_solver else None
        return FilledBoard(puzzle.show(answer), valid, len(said.logits), halting_segment, float(said.q_halt[-1, 0]))

    def example(self, config: C) -> Any:
        """Returns a board of the configuration's puzzle, as lines of text."""
        return config.puzzle.example

    def guards(self, config: C) -> Sequence[Guard]:
        """Returns the guard on boards that slots go on with, where they do."""
        from trainables.recursive.guards import Contradiction

        return (Contradiction(),) if config.rollout == "serial_act" else ()

    def checkpoint_bytes(self, config: C) -> int:
        """Estimates a checkpoint's bytes: weights, moments, average, and the carry of ACT."""
        positions = config.prefix + config.tokens
        carry = (
            8 * config.batch * config.trajectories * positions * config.hidden if config.rollout == "serial_act" else 0
        )
        return super().checkpoint_bytes(config) * 4 // 3 + carry

    def scored_weights(self, state: Mapping[str, Any]) -> Mapping[str, Tensor]:
        """Returns the averaged weights, if there are any, else the trained ones."""
        return {**state["model"], **state["task"].get("average", {})}


class HRMFamily(RecursiveFamily[HRMConfig]):
    """Hierarchical reasoning models (HRM): two stacks and two Q values, on sudokus or mazes."""

    name = "hrm"
    Config = HRMConfig
    claims = "analysis.recursive.claims:HRM_CLAIMS"
    studies: ClassVar[Mapping[str, str]] = _studies("HRM")
    presets: ClassVar[Mapping[str, Callable[[float], TrialConfig]]] = HRM_PRESETS


class TRMFamily(RecursiveFamily[TRMConfig]):
    """Tiny recursive models (TRM): one stack and one Q value, on sudokus or mazes."""

    name = "trm"
    Config = TRMConfig
    claims = "analysis.recursive.claims:TRM_CLAIMS"
    studies: ClassVar[Mapping[str, str]] = _studies("TRM")
    presets: ClassVar[Mapping[str, Callable[[float], TrialConfig]]] = TRM_PRESETS


TRM_FAMILY = TRMFamily()
"""The family of tiny recursive models."""


class ETRMFamily(RecursiveFamily[ETRMConfig]):
    """Encoder-based TRM (ETRM): an encoder of demonstrations in place of the puzzle embedding."""

    name = "etrm"
    Config = ETRMConfig
    metrics: ClassVar[tuple[Metric, ...]] = (*METRICS, *COLLAPSE, START_STEPS)
    beside = ("exact_new", "exact_exchanged", "chance", "start_steps")
    claims = "analysis.recursive.claims:ETRM_CLAIMS"
    decoders: ClassVar[Mapping[str, Family[Any]]] = {TRM_FAMILY.name: TRM_FAMILY}
    studies: ClassVar[Mapping[str, str]] = {
        "lookahead": "search_spaces.lookahead.recursive:ETRM",
        "batch_size": "search_spaces.batch_size.recursive:ETRM",
        "curriculum_length": "search_spaces.curriculum_length.grids:ETRM",
    }
    presets: ClassVar[Mapping[str, Callable[[float], TrialConfig]]] = ETRM_PRESETS

    def _task(self, config: ETRMConfig, data: RecursiveData, device: torch.device) -> ETRMTask:
        from trainables.recursive.encoder_task import ETRMTask

        return ETRMTask(config, data, device)

    def guards(self, config: ETRMConfig) -> Sequence[Guard]:
        """Returns also the guard on an encoder that starves, unless it is not to be trained."""
        from trainables.recursive.guards import StarvedEncoder

        own = () if config.freeze_encoder or config.task_embedding else (StarvedEncoder(),)
        return (*super().guards(config), *own)

    def checkpoint_bytes(self, config: ETRMConfig) -> int:
        """Estimates a checkpoint's bytes: as for TRM, and the demonstrations that ACT carries."""
        if config.task_embedding:
            return super().checkpoint_bytes(config)
        grids = 2 * config.puzzle.demonstrations * config.tokens
        cache = config.prefix * config.hidden if config.encoding == "cached" else 0
        rows = config.batch * config.trajectories if config.rollout == "serial_act" else 0
        return super().checkpoint_bytes(config) + rows * (8 * grids + 4 * cache)


HRM_FAMILY = HRMFamily()
"""The family of hierarchical reasoning models."""
ETRM_FAMILY = ETRMFamily()
"""The family of encoder-based tiny recursive models."""
