"""Scores boards, for trials and for predictors without a trained parameter alike.

A board stops by its own probability of halting when it is scored, so that its score does not depend
on the boards beside it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from leadline.measure import Measure
from leadline.statistics import mean_over_units
from trainables.arc_hrm.config import ArcHRMConfig
from trainables.arc_hrm.losses import IGNORED
from trainables.arc_hrm.model import ArcHRM, Thought
from trainables.puzzles import votes
from trainables.puzzles.grids import shown_grids
from trainables.puzzles.puzzle import I64, PAD, Boards, Puzzle, Rows
from trainables.puzzles.scoring import Array, by_unit, divided

__all__ = [
    "answering",
    "answers",
    "labels_of",
    "passes",
    "read_of",
    "score",
    "score_answers",
    "score_known",
]

Share = tuple[float, float]
SHARE: Share = (0.0, 1.0)
TOKENS_AT_ONCE = 2**14
"""Tokens that are scored at a time, which bounds the memory of attention."""


def labels_of(puzzle: Puzzle, boards: Boards) -> I64:
    """Returns the labels that a model of these boards is scored on, int64 [boards, cells]."""
    return puzzle.rows(boards, np.arange(len(boards)))["labels"]


def _share(right: npt.NDArray[np.bool_], counted: npt.NDArray[np.bool_]) -> Array:
    """Returns the share of the counted cells that are right, float64 [boards]; 1 without any."""
    count = counted.sum(1)
    return np.where(count > 0, (right & counted).sum(1) / np.maximum(count, 1), 1.0)


def score_answers(puzzle: Puzzle, boards: Boards, predicted: I64, labels: I64) -> dict[str, Measure]:
    """Scores answers, int64 [boards, cells], to boards with such labels.

    An answer of -1 stands where there is none, as of weights that are no numbers: its board's
    scores are NaN.
    """
    known, new = divided(puzzle, boards)
    if not len(new):
        return _scored(puzzle, boards, predicted, labels)
    fresh = puzzle.new(boards)
    found = _scored(puzzle, new, predicted[fresh], labels[fresh])
    return {**_scored(puzzle, known, predicted[~fresh], labels[~fresh]), "exact_new": found["exact"]}


def _scored(puzzle: Puzzle, boards: Boards, predicted: I64, labels: I64) -> dict[str, Measure]:
    """Scores answers to boards that are all of trained rules, or all of new ones."""
    right, counted = predicted == labels, labels != IGNORED
    inside = counted & (labels != PAD)
    none = (predicted < 0).any(1)
    found = {
        "exact": (right | ~inside).all(1).astype(np.float64),
        "cells": _share(right, counted),
        "cells_without_pad": _share(right, inside),
    }
    shape = puzzle.same_shape(predicted.clip(min=PAD).astype(np.uint8), boards.labels)
    if shape is not None:
        found["shape"] = shape.astype(np.float64)
    units = puzzle.units(boards)
    return {
        name: mean_over_units(by_unit(np.where(none, math.nan, values), units), SHARE) for name, values in found.items()
    }


class Answers(NamedTuple):
    """The network's outputs for each board.

    Attributes:
        tokens: int64 [boards, cells], -1 where the network's output is not finite.
        cycles: float64 [boards], NaN there.
        halt: float64 [boards], NaN there.
    """

    tokens: I64
    cycles: Array
    halt: Array


def _parts(model: ArcHRM, rows: Rows, device: torch.device) -> Iterator[Thought]:
    """Yields what the network says of the boards in parts, each board on its own."""
    read = read_of(model.config, rows)
    at_once = max(1, TOKENS_AT_ONCE // sum(array[0].size for array in read.values()))
    for first in range(0, len(rows["inputs"]), at_once):
        part = {name: torch.from_numpy(array[first : first + at_once]).to(device) for name, array in read.items()}
        yield model(**part, each=True)


def read_of(config: ArcHRMConfig, rows: Rows) -> Rows:
    """Returns what the network reads of rows, by the names of its arguments."""
    read = {"inputs": rows["inputs"]}
    return {**read, "shown": shown_grids(rows)} if config.demonstrations_in_input else read


def _judged(said: Thought) -> tuple[Tensor, Tensor, Tensor]:
    """Returns tokens, cycles and halting of some boards, with -1 or NaN where nothing is finite."""
    sound = said.logits.isfinite().flatten(1).all(1)
    tokens = said.logits.argmax(-1).masked_fill(~sound[:, None], -1)
    return tokens, said.cycles.double().masked_fill(~sound, math.nan), said.last_halt.double()


@torch.no_grad()
def answers(model: ArcHRM, rows: Rows, device: torch.device) -> Answers:
    """Returns the answers of a model in evaluation mode to boards, as `Puzzle.rows` gives them."""
    parts = [_judged(said) for said in _parts(model, rows, device)]
    return Answers(*(torch.cat(column).cpu().numpy() for column in zip(*parts, strict=True)))


def score(model: ArcHRM, puzzle: Puzzle, boards: Boards, device: torch.device) -> dict[str, Measure]:
    """Returns every metric of a model in evaluation mode on a split, but those of votes."""
    known, new = divided(puzzle, boards)
    found = score_known(model, puzzle, known, device)
    return {**found, "exact_new": score_known(model, puzzle, new, device)["exact"]} if len(new) else found


def score_known(model: ArcHRM, puzzle: Puzzle, boards: Boards, device: torch.device) -> dict[str, Measure]:
    """Returns the metrics of boards that are all of trained rules, or all of new ones."""
    rows = puzzle.rows(boards, np.arange(len(boards)))
    found, units = answers(model, rows, device), puzzle.units(boards)
    scored = _scored(puzzle, boards, found.tokens, rows["labels"])
    if model.config.pad == "ignored":
        del scored["cells"]
    return {
        **scored,
        "cycles": mean_over_units(by_unit(found.cycles, units), (1.0, float(model.config.max_cycles))),
        "halt": mean_over_units(by_unit(found.halt, units), SHARE),
    }


def answering(model: ArcHRM, device: torch.device) -> votes.Answer:
    """Returns the function that answers rows; its Q is the probability of halting."""

    def answer(_: Boards, rows: Rows) -> votes.Answers:
        found = answers(model, rows, device)
        return votes.Answers(found.tokens, found.halt)

    return answer


def passes(model: ArcHRM, boards: Boards, config: ArcHRMConfig, device: torch.device) -> dict[str, Measure]:
    """Returns `pass1` and `pass2` of a model in evaluation mode on a split; {} without `votes`."""
    return votes.passes(config.puzzle, boards, answering(model, device), config.votes)
