"""Where answers to grids are wrong: by rule family or task of ARC, and shape against content.

An answer is right as the metric `exact` says. A wrong one either has another height or width than
the right grid, or wrong colours in a grid of the right shape, or nothing but a wrong edge: the grid
at the corner is right, and a cell of the EOS around it is not. An answer without any grid, or of
weights that are no numbers, has the wrong shape. Beside each bin stands one trivial predictor, the
best on all boards.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from leadline.analysis.sweep import TrialView
from leadline.config import ConfigError
from leadline.ledger.leaderboard import is_oracle
from leadline.measure import Measure
from leadline.statistics import mean_over_units
from leadline.task import Split
from trainables.arc_hrm import scoring as of_arc_hrm
from trainables.arc_hrm.model import ArcHRM
from trainables.grids.grid import Grid, crop
from trainables.grids.rules.registry import RULES
from trainables.puzzles.config import BoardConfig
from trainables.puzzles.data import PuzzleData, build
from trainables.puzzles.grids import DEMO_INPUTS, DEMO_LABELS, GridPuzzle
from trainables.puzzles.puzzle import I64, PAD, Boards, Mask
from trainables.puzzles.rules import GridRules
from trainables.puzzles.scoring import Array, by_unit, divided
from trainables.puzzles.votes import Answer, passed, ranked
from trainables.recursive import scoring as of_recursive
from trainables.recursive.model import RecursiveNet

__all__ = ["Bin", "Example", "Failures", "Judged", "failures", "judge", "questioned"]

RIGHT, EDGE, CONTENT, SHAPE = "right", "edge", "content", "shape"
"""What an answer is, or what of it is wrong."""
SHOWN = 3
"""The most demonstrations that an example has."""


@dataclass(frozen=True)
class Judged:
    """The answers to some boards.

    Attributes:
        kinds: what each is, text [boards].
        wrong: the share of the grid's cells that are wrong, float64 [boards]; NaN where the shape
            is.
        said: the grid at the corner of each answer, which may be empty.
        wanted: the right grid of each board.
    """

    kinds: npt.NDArray[np.str_]
    wrong: Array
    said: list[Grid]
    wanted: list[Grid]

    @property
    def right(self) -> Mask:
        """Which answers are right, bool [boards]."""
        return np.asarray(self.kinds == RIGHT)


class Bin(NamedTuple):
    """The answers to the boards of one family of rules or one task.

    Attributes:
        by: what the bins of this kind divide.
        label: its name.
        units: the independent units.
        boards: all boards; those of `right`, `edge`, `content` and `shape` add up to them.
        right, edge, content, shape: how many answers are so.
        wrong_cells: the mean share of wrong cells of the answers that are wrong in content alone.
        exact: share of right answers, the mean over units.
        trivial: the same of the trivial predictor.
        pass1, pass2: the same by the votes of a board's images; None without votes.
    """

    by: str
    label: str
    units: int
    boards: int
    right: int
    edge: int
    content: int
    shape: int
    wrong_cells: float | None
    exact: Measure
    trivial: Measure
    pass1: Measure | None
    pass2: Measure | None


class Example(NamedTuple):
    """A wrong answer, with grids as rows of digits; `said` is empty where there is no grid.

    Attributes:
        label: the bin that it is taken from.
        task: the name of its rule or task.
        board: its number in the split.
        kind: what is wrong.
        words: how wrong it is, in words.
        demonstrations: pairs of the task: those that the network was shown, else training boards.
        query, wanted, said: the grids.
    """

    label: str
    task: str
    board: int
    kind: str
    words: str
    demonstrations: list[tuple[list[str], list[str]]]
    query: list[str]
    wanted: list[str]
    said: list[str]


@dataclass(frozen=True)
class Failures:
    """The bins of a network's answers to a split, the worst first, and wrong answers of the worst.

    `trivial` is the name of the trivial predictor that is best on all boards; `votes` says how many
    images of each board vote.
    """

    trial: str
    split: str
    trivial: str
    votes: int
    bins: list[Bin]
    examples: list[Example]


def judge(puzzle: GridPuzzle, boards: Boards, tokens: I64) -> Judged:
    """Judges answers, int64 [boards, cells]; -1 where there is none."""
    exact = ((tokens == boards.labels) | (boards.labels == PAD)).all(1)
    said = [crop(answer, puzzle.side) for answer in tokens.clip(min=PAD).astype(np.uint8)]
    wanted = [crop(label, puzzle.side) for label in boards.labels]
    pairs = list(zip(said, wanted, strict=True))
    wrong = np.array([(one != other).mean() if one.shape == other.shape else np.nan for one, other in pairs])
    kinds = np.select([exact, np.isnan(wrong), wrong > 0], [RIGHT, SHAPE, CONTENT], EDGE)
    return Judged(kinds, wrong, said, wanted)


def _answering(model: nn.Module) -> Answer:
    """Returns the function by which a trial of the model is scored, on the CPU."""
    device = torch.device("cpu")
    if isinstance(model, ArcHRM):
        return of_arc_hrm.answering(model, device)
    return of_recursive.answering(cast(RecursiveNet, model), device)


def _dimensions(puzzle: GridPuzzle, boards: Boards) -> Iterator[tuple[str, dict[str, Mask]]]:
    """Yields the dimensions: name, and by label which boards stand in the bin; sums come first."""
    tasks, new = cast(I64, puzzle.tasks(boards)), puzzle.new(boards)
    if not isinstance(puzzle, GridRules):
        yield "all", {"all tasks": np.ones(len(boards), dtype=np.bool_)}
        yield "task", {puzzle.task_names[task]: tasks == task for task in np.unique(tasks).tolist()}
        return
    families = np.array([RULES[puzzle.task_names[task]].family for task in tasks.tolist()])
    for part, own in {"trained": ~new, "new": new}.items():
        if own.any():
            yield "all", {f"{part} rules": own}
        yield f"family, {part}", {f"{name}, {part}": own & (families == name) for name in np.unique(families[own])}


class _Scores(NamedTuple):
    """What bins are made of, by board."""

    own: Judged
    trivial: Array
    passes: dict[str, Array]


def _bin(by: str, label: str, own: Mask, units: I64, scores: _Scores) -> Bin:
    def mean(values: Array) -> Measure:
        return mean_over_units(by_unit(values[own], units[own]), (0.0, 1.0))

    kinds = scores.own.kinds[own]
    right, edge, content, shape = (int((kinds == kind).sum()) for kind in (RIGHT, EDGE, CONTENT, SHAPE))
    cells = scores.own.wrong[own & (scores.own.kinds == CONTENT)]
    exact, passes = mean(scores.own.right.astype(np.float64)), [mean(values) for values in scores.passes.values()]
    share = float(cells.mean()) if len(cells) else None
    pass1, pass2 = passes or (None, None)
    counts = (exact.n, len(kinds), right, edge, content, shape)
    return Bin(by, label, *counts, share, exact, mean(scores.trivial), pass1, pass2)


def _worse(line: Bin) -> tuple[float, float, float]:
    """Orders bins, the worst first: by right answers, by right shapes, by wrong cells."""
    return line.exact.value, -line.shape / line.boards, -(line.wrong_cells or 0)


def _trivial(puzzle: GridPuzzle, data: PuzzleData, boards: Boards) -> tuple[str, Array]:
    """Returns the trivial predictor that is right most often, and where, float64 [boards]."""
    found = {
        name: judge(puzzle, boards, predict(boards).astype(np.int64)).right.astype(np.float64)
        for name, predict in puzzle.predictors(data.train).items()
        if not is_oracle(name)
    }
    best = max(found, key=lambda name: float(found[name].mean()))
    return best, found[best]


def _rows(grid: Grid) -> list[str]:
    return ["".join(map(str, row)) for row in grid.tolist()]


def _words(own: Judged, board: int) -> str:
    said, wanted = own.said[board], own.wanted[board]
    if not said.size:
        return "no grid at the corner"
    if own.kinds[board] == SHAPE:
        return "{} x {} in place of {} x {}".format(*said.shape, *wanted.shape)
    if own.kinds[board] == EDGE:
        return "the grid is right, the EOS around it is not"
    return f"{int((said != wanted).sum())} of {wanted.size} cells wrong"


def _demonstrations(puzzle: GridPuzzle, train: Boards, boards: Boards, board: int) -> list[tuple[list[str], list[str]]]:
    """Returns what was shown beside a board; without that, training boards of its task."""
    if DEMO_INPUTS in boards.extra:
        pairs = zip(boards.extra[DEMO_INPUTS][board], boards.extra[DEMO_LABELS][board], strict=True)
    else:
        same = cast(I64, puzzle.tasks(train)) == cast(I64, puzzle.tasks(boards))[board]
        pairs = zip(train.inputs[same], train.labels[same], strict=True)
    grids = [(_rows(crop(one, puzzle.side)), _rows(crop(other, puzzle.side))) for one, other in pairs if one.any()]
    return grids[:SHOWN]


def _examples(
    puzzle: GridPuzzle, train: Boards, boards: Boards, own: Judged, bins: Sequence[tuple[Bin, Mask]], each: int
) -> Iterator[Example]:
    """Yields wrong answers of each bin, those with the smallest right ones first."""
    sizes, tasks = np.array([grid.size for grid in own.wanted]), cast(I64, puzzle.tasks(boards))
    for line, chosen in bins:
        wrong = np.flatnonzero(chosen & ~own.right)
        for board in wrong[np.argsort(sizes[wrong], kind="stable")][:each].tolist():
            yield Example(
                line.label,
                puzzle.task_names[tasks[board]],
                board,
                str(own.kinds[board]),
                _words(own, board),
                _demonstrations(puzzle, train, boards, board),
                *(
                    _rows(grid)
                    for grid in (crop(boards.inputs[board], puzzle.side), own.wanted[board], own.said[board])
                ),
            )


def questioned(
    trial: str, config: BoardConfig, data: PuzzleData, model: nn.Module, split: Split, units: int, each: int = 1
) -> Failures:
    """Counts all bins of a network.

    Args:
        trial: what titles call it.
        config: its configuration; `votes` images of each board vote.
        data: the data of the configuration.
        model: the network, in eval mode on the CPU.
        split: whose boards are asked; those of new rules only if the network sees demonstrations.
        units: how many tasks, families of trained rules, and families of new ones have examples,
            the worst first.
        each: wrong answers that are given of each of them, at most.
    """
    puzzle, boards, answer = cast(GridPuzzle, data.puzzle), data.scored(split), _answering(model)
    if not config.reads_demonstrations:
        boards, _ = divided(puzzle, boards)
    own = judge(puzzle, boards, answer(boards, puzzle.rows(boards, np.arange(len(boards)))).tokens)
    name, trivial = _trivial(puzzle, data, boards)
    votes = ranked(puzzle, boards, answer, config.votes) if config.votes else None
    passes = {} if votes is None else {f"pass{k}": passed(puzzle, boards, votes, k) for k in (1, 2)}
    scores, numbers = _Scores(own, trivial, passes), puzzle.units(boards)
    found: list[Bin] = []
    examples: list[Example] = []
    for by, bins in _dimensions(puzzle, boards):
        lines = [(_bin(by, label, chosen, numbers, scores), chosen) for label, chosen in bins.items()]
        if by != "all":
            lines.sort(key=lambda pair: _worse(pair[0]))
            worst = [(line, chosen) for line, chosen in lines if line.right < line.boards][:units]
            examples += _examples(puzzle, data.train, boards, own, worst, each)
        found += (line for line, _ in lines)
    return Failures(trial, split, name, config.votes, found, examples)


def failures(view: TrialView, split: Split, votes: int | None, units: int, each: int) -> Failures:
    """Counts all bins of a trial with the weights of its checkpoint.

    Args:
        view: the trial.
        split: whose boards are asked.
        votes: how many images of each board vote; None as in the trial's configuration.
        units, each: see `questioned`.

    Raises:
        ConfigError: if it answers no grids, or so many images cannot vote.
        ValueError: if it has no intact checkpoint.
    """
    asked = view.config if votes is None else {**view.config, "votes": votes}
    config = cast(BoardConfig, view.sweep.settings.model_family().config(asked))
    if not isinstance(config.puzzle, GridPuzzle):
        raise ConfigError(f"sweep: trial {view.number} answers task={config.task}; this command reads arc and rules")
    name = f"{view.sweep.name}, trial {view.number}"
    return questioned(name, config, build(config), view.load(), split, units, each)
