"""Scores a recursive model: from the clean start, from perturbed ones, and what Q says."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from leadline.measure import Measure
from leadline.statistics import mean_over_units
from leadline.task import Split
from trainables.puzzles import votes
from trainables.puzzles.data import PuzzleData
from trainables.puzzles.puzzle import I64, PAD, Boards, Rows
from trainables.puzzles.scoring import by_unit, divided
from trainables.recursive import losses
from trainables.recursive.act import halts
from trainables.recursive.config import RecursiveConfig
from trainables.recursive.dynamics import lyapunov
from trainables.recursive.metrics import CLEAN, EXPONENT_BOARDS, EXPONENTS, LADDER, PROBED, rung
from trainables.recursive.model import RecursiveNet, Rollout

__all__ = [
    "Scores",
    "answering",
    "exponents",
    "halting_step",
    "judged",
    "parts",
    "passes",
    "probed",
    "score",
    "score_clean",
    "shown",
    "tensors",
    "think",
]

_BOARDS_AT_ONCE = 128
_TOKENS_AT_ONCE = 2**17
"""The most boards, and the most tokens of boards and demonstrations, that are scored at a time."""
_SEED = 20260
"""The seed of the probing noise and the tangent vectors: the same for every trial."""

Array = npt.NDArray[np.float64]


def probed(data: PuzzleData, split: Split) -> int:
    """Returns how many of a split's first boards of known tasks are perturbed, where any are."""
    boards = len(divided(data.puzzle, data.scored(split))[0])
    return boards if split == "test" else min(PROBED, boards)


class Scores(NamedTuple):
    """The scores of each board, float64 [boards]; NaN where the model's output is not finite."""

    exact: Array
    accuracy: Array
    q_accuracy: Array
    halt_steps: Array


def tensors(rows: Mapping[str, npt.NDArray[Any]], device: torch.device) -> dict[str, Tensor]:
    """Returns a puzzle's rows as tensors; labels that are PAD are no targets (HRM, TRM, ETRM)."""
    found = {name: torch.from_numpy(array).to(device) for name, array in rows.items()}
    return {**found, "labels": found["labels"].masked_fill(found["labels"] == PAD, losses.IGNORED)}


def shown(model: RecursiveNet, rows: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Picks what the model reads beside the boards."""
    return {name: rows[name] for name in model.shown}


def think(model: RecursiveNet, rows: Mapping[str, Tensor], noise: tuple[Tensor, Tensor] | None = None) -> Rollout:
    """Rolls out `halt_max_steps` segments, all of them whatever Q says.

    Args:
        model: the network.
        rows: `inputs`, int64 [boards, tokens], and `puzzle`, int64 [boards], among others.
        noise: added to the starts of z_H and z_L, float32 [boards, prefix + tokens, width] each.
    """
    z_h, z_l = model.start(len(rows["inputs"]))
    if noise:
        z_h, z_l = z_h + noise[0], z_l + noise[1]
    said: Rollout = model(rows["inputs"], rows["puzzle"], z_h, z_l, model.config.halt_max_steps, **shown(model, rows))
    return said


def halting_step(model: RecursiveNet, said: Rollout) -> Tensor:
    """Returns after how many segments Q would have halted, int64 [boards].

    It is at most `halt_max_steps`.
    """
    limit = model.config.halt_max_steps
    steps = torch.arange(1, limit + 1, device=said.q_halt.device)[:, None]
    halted = halts(model, steps, said.q_halt, said.q_continue, training=True)
    return torch.where(halted, steps, limit).amin(0)


def judged(model: RecursiveNet, said: Rollout, labels: Tensor) -> Scores:
    """Scores a rollout, board by board.

    Args:
        model: the network.
        said: the rollout.
        labels: int64 [boards, tokens]; a label of -100 is not scored.
    """
    logits, q = said.logits[-1], said.q_halt[-1]
    exact, sound = losses.exactly_right(logits, labels), _sound(said)
    found = (exact, losses.accuracy(logits, labels), (q >= 0) == exact, halting_step(model, said))
    return Scores(*(torch.where(sound, value.double(), math.nan).cpu().numpy() for value in found))


def _sound(said: Rollout) -> Tensor:
    """Tells which boards' answers are finite, and all their Q, bool [boards]."""
    return said.logits[-1].isfinite().flatten(1).all(1) & said.q_halt.isfinite().all(0)


def _at_once(model: RecursiveNet) -> int:
    """Returns how many boards are scored at a time."""
    puzzle = model.config.puzzle
    tokens = puzzle.cells * (1 + (2 * puzzle.demonstrations if model.shown else 0))
    return max(1, min(_BOARDS_AT_ONCE, _TOKENS_AT_ONCE // tokens))


def parts(
    model: RecursiveNet, boards: Boards, count: int, device: torch.device
) -> Iterator[tuple[I64, dict[str, Tensor]]]:
    """Yields the first `count` boards in parts, each with the numbers of its boards, int64 [rows].

    The boards are in the form that the model is given.
    """
    rows = _at_once(model)
    for first in range(0, count, rows):
        index = np.arange(first, min(first + rows, count))
        yield index, tensors(model.config.puzzle.rows(boards, index), device)


def _noise(model: RecursiveNet, first: int, rows: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Draws unit noise for boards, float32 [rows, prefix + tokens, width] twice.

    It is the same for every model of one width.
    """
    generator = torch.Generator().manual_seed(_SEED + first)
    drawn = torch.randn(2, rows, model.prefix + model.shape.tokens, model.config.hidden, generator=generator)
    return drawn[0].to(device), drawn[1].to(device)


def _ladder(model: RecursiveNet, boards: Boards, count: int, device: torch.device) -> dict[float, Array]:
    """Tells for each sigma which boards are solved from a start so perturbed, float64 [boards].

    All sigmas scale the same unit noise.
    """
    found: dict[float, list[Array]] = {sigma: [] for sigma in LADDER}
    for index, rows in parts(model, boards, count, device):
        h, l = _noise(model, int(index[0]), len(rows["inputs"]), device)  # noqa: E741
        for sigma, solved in found.items():
            solved.append(judged(model, think(model, rows, (sigma * h, sigma * l)), rows["labels"]).exact)
    return {sigma: np.concatenate(solved) for sigma, solved in found.items()}


def exponents(model: RecursiveNet, boards: Boards, device: torch.device) -> Array:
    """Returns the largest local exponents of the latent map, float64 [boards, EXPONENTS].

    They are taken along the clean rollout, per segment; of z_H alone where nothing updates z_L,
    which would have an exponent of 0.
    """
    _, rows = next(parts(model, boards, min(EXPONENT_BOARDS, len(boards)), device))
    (context,) = model.contexts(rows["puzzle"], 1, **shown(model, rows))
    x = model.embed(rows["inputs"], context)
    z_h, z_l = model.start(len(rows["inputs"]))
    generator = torch.Generator().manual_seed(_SEED)

    def segment(z: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return model.map(z[0], z[-1], x)[: len(z)]

    states = (z_h.clone(), z_l.clone()) if model.config.l_cycles else (z_h.clone(),)
    found = lyapunov(segment, states, model.config.halt_max_steps, EXPONENTS, generator)
    return np.asarray(found.double().cpu().numpy())


def _clean(model: RecursiveNet, boards: Boards, device: torch.device) -> tuple[Scores, Array | None]:
    """Returns the scores of boards from the clean start, and whether answers have the right shape.

    The latter is float64 [boards], NaN where the output is not finite; None where the puzzle has
    one shape.
    """
    found, shapes = [], []
    for index, rows in parts(model, boards, len(boards), device):
        said = think(model, rows)
        found.append(judged(model, said, rows["labels"]))
        answers = said.logits[-1].argmax(-1).cpu().numpy().astype(np.uint8)
        right = model.config.puzzle.same_shape(answers, boards.labels[index])
        if right is not None:
            shapes.append(np.where(np.isnan(found[-1].exact), math.nan, right))
    scores = Scores(*(np.concatenate(values) for values in zip(*found, strict=True)))
    return scores, np.concatenate(shapes) if shapes else None


@torch.no_grad()
def score(model: RecursiveNet, boards: Boards, perturbed: int, device: torch.device) -> dict[str, Measure]:
    """Returns every declared metric of a model in evaluation mode, if the puzzle has it.

    Args:
        model: the network.
        boards: the split.
        perturbed: the first so many boards of known tasks are rolled out from perturbed starts too;
            where it is 0, nothing is asked of the dynamics around the clean start.
        device: where the model is.
    """
    known, new = divided(model.config.puzzle, boards)
    return {
        **score_clean(model, known, device),
        **(_dynamics(model, known, perturbed, device) if perturbed else {}),
        # Without demonstrations nothing tells a network of a task that it was not trained on.
        **({"exact_new": _exact(model, new, device)} if len(new) and model.shown else {}),
    }


def _dynamics(model: RecursiveNet, boards: Boards, perturbed: int, device: torch.device) -> dict[str, Measure]:
    """Returns the basins of the solutions and the exponents, on the first boards."""
    units = model.config.puzzle.units(boards)
    ladder, growth = _ladder(model, boards, perturbed, device), exponents(model, boards, device)

    def share(values: Array) -> Measure:
        return mean_over_units(by_unit(values, units[: len(values)]), (0.0, 1.0))

    return {
        "robust": share(np.mean(list(ladder.values()), axis=0)),
        **{rung(sigma): share(solved) for sigma, solved in ladder.items()},
        **{f"lambda{i + 1}": mean_over_units(by_unit(growth[:, i], units[: len(growth)])) for i in range(EXPONENTS)},
    }


@torch.no_grad()
def score_clean(model: RecursiveNet, boards: Boards, device: torch.device) -> dict[str, Measure]:
    """Returns the metrics `CLEAN`, which one rollout from the clean start gives.

    Args:
        model: the network.
        boards: boards of known tasks.
        device: where the model is.
    """
    units, limit = model.config.puzzle.units(boards), float(model.config.halt_max_steps)
    clean, shape = _clean(model, boards, device)
    found = {name: getattr(clean, name) for name in CLEAN} | ({} if shape is None else {"shape": shape})
    return {
        name: mean_over_units(by_unit(values, units), (1.0, limit) if name == "halt_steps" else (0.0, 1.0))
        for name, values in found.items()
    }


def _exact(model: RecursiveNet, boards: Boards, device: torch.device) -> Measure:
    units = model.config.puzzle.units(boards)
    return mean_over_units(by_unit(_clean(model, boards, device)[0].exact, units), (0.0, 1.0))


def answering(model: RecursiveNet, device: torch.device) -> votes.Answer:
    """Returns the function that answers rows, after all segments, and says by Q-halt how surely."""

    @torch.no_grad()
    def answer(_: Boards, rows: Rows) -> votes.Answers:
        size, tokens, q = _at_once(model), [], []
        for first in range(0, len(rows["inputs"]), size):
            said = think(model, tensors({name: array[first : first + size] for name, array in rows.items()}, device))
            tokens.append(said.logits[-1].argmax(-1).masked_fill(~_sound(said)[:, None], -1))
            q.append(said.q_halt[-1].double().sigmoid())
        return votes.Answers(torch.cat(tokens).cpu().numpy(), torch.cat(q).cpu().numpy())

    return answer


def passes(model: RecursiveNet, boards: Boards, config: RecursiveConfig, device: torch.device) -> dict[str, Measure]:
    """Returns `pass1` and `pass2` of a model in evaluation mode on a split; {} without `votes`."""
    return votes.passes(config.puzzle, boards, answering(model, device), config.votes)
