"""Grids as tokens and their images, beside what sapientinc/HRM makes of them."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadline.config import ConfigError
from tests.trainables.recursive.recorded import GOLDEN
from trainables.grids.arc import GridTask, Part, canonical, load
from trainables.grids.grid import (
    COLOURS,
    EOS,
    FIRST,
    INVERSE,
    PAD,
    TURNS,
    Images,
    as_grid,
    crop,
    decode,
    encode,
    exchanged,
    image,
    turned,
)

RECORDED: dict[str, Any] = dict(np.load(GOLDEN / "arc_encoding.npz", allow_pickle=False))
PARTS: dict[str, Part] = {"train": "training", "eval": "evaluation"}
TASKS = json.loads(str(RECORDED["meta"]))["tasks"]

grids = st.tuples(st.integers(1, 6), st.integers(1, 6), st.integers(0, 2**32 - 1)).map(
    lambda drawn: np.random.default_rng(drawn[2]).integers(0, COLOURS, drawn[:2]).astype(np.uint8)
)


def _task(split: str, name: str) -> GridTask:
    return next(task for task in load("arcagi1", PARTS[split]) if task.name == name)


@pytest.mark.parametrize("told", TASKS, ids=lambda told: told["task_id"])
def test_tokens_are_those_of_the_reference(told: dict[str, Any]) -> None:
    task = _task(told["split"], told["task_id"])
    pairs = task.demonstrations if told["pair_set"] == "train" else task.queries
    for grid, side in zip(pairs[told["pair_index"]], ("input", "output"), strict=True):
        recorded = RECORDED[f"task{told['index']}/{side}_tokens"]
        np.testing.assert_array_equal(encode(grid, 30), recorded)
        np.testing.assert_array_equal(decode(recorded, 30), grid)
        assert list(grid.shape) == RECORDED[f"task{told['index']}/{side}_shape"].tolist()


def test_what_a_constant_scores() -> None:
    """The counts of PAD, EOS and copied cells in all four sets, and the 0.71209 of the evaluation queries."""
    shares = RECORDED["baseline/all_pad_cell_accuracy"]
    for name, counts, share in zip(RECORDED["baseline/split_names"], RECORDED["baseline/counts"], shares, strict=True):
        split, kind = str(name).split("/")
        tasks = load("arcagi1", PARTS[split])
        pairs = [pair for task in tasks for pair in (task.demonstrations if kind == "train" else task.queries)]
        inputs, outputs = (np.stack([encode(pair[side], 30) for pair in pairs]) for side in (0, 1))
        filled, equal = outputs != PAD, outputs == inputs
        found = [
            len(pairs),
            outputs.size,
            (~filled).sum(),
            (outputs == EOS).sum(),
            filled.sum(),
            (filled & equal).sum(),
            equal.all(1).sum(),
        ]
        assert [int(count) for count in found] == counts.tolist()
        assert (outputs == PAD).mean() == pytest.approx(share, abs=1e-12)
    assert shares.min().round(5) == 0.71209


@pytest.mark.parametrize("which", ["g0", "g1"])
def test_turns_are_those_of_the_reference(which: str) -> None:
    grid = RECORDED[f"dihedral/{which}/grid"]
    assert RECORDED["dihedral/inverse_index"].tolist() == INVERSE.tolist()
    for turn in range(TURNS):
        there = turned(grid, turn)
        np.testing.assert_array_equal(there, RECORDED[f"dihedral/{which}/t{turn}"])
        np.testing.assert_array_equal(turned(there, int(INVERSE[turn])), grid)
        assert bool(exchanged(np.array(turn))) == (turn in (1, 3, 6, 7))


@given(grids, st.integers(0, 7), st.integers(0, 2**32 - 1))
def test_an_image_is_turned_recoloured_and_moved(grid: Any, turn: int, seed: int) -> None:
    """All at once on tokens, as one after the other on the grid itself."""
    generator = np.random.default_rng(seed)
    colours = generator.permutation(COLOURS).astype(np.uint8)
    wanted = colours[turned(grid, turn)]
    height, width = wanted.shape
    down, right = (int(generator.integers(9 - size)) for size in (height, width))
    canvas = np.zeros((9, 9), dtype=np.uint8)
    whole = encode(wanted, 8).reshape(8, 8)[: 8 - down, : 8 - right]
    canvas[down:8, right:8] = whole
    images = Images(np.array([turn]), colours[None], np.array([down]), np.array([right]))
    np.testing.assert_array_equal(image(encode(grid, 8)[None], images)[0], canvas[:8, :8].reshape(-1))


@given(grids)
def test_a_grid_comes_back(grid: Any) -> None:
    for side in (6, 7, 9):
        tokens = encode(grid, side)
        np.testing.assert_array_equal(decode(tokens, side), grid)
        assert (tokens == EOS).sum() == sum(size for size, other in (grid.shape, grid.shape[::-1]) if other < side)


def test_no_grid() -> None:
    tokens = encode(np.array([[1, 2], [3, 4]], dtype=np.uint8), 4)
    for place, token in ((0, PAD), (2, PAD), (10, FIRST), (15, EOS)):
        broken = tokens.copy()
        broken[place] = token
        assert decode(broken, 4) is None
    assert decode(np.zeros(16, dtype=np.uint8), 4) is None
    with pytest.raises(ValueError, match="2 by 5 does not fit a canvas of side 4"):
        encode(np.zeros((2, 5), dtype=np.uint8), 4)


def test_a_crop_is_the_largest_rectangle_of_colours() -> None:
    """PAD beside and below is no target where it is ignored, so that anything may stand there."""
    canvas = np.array([[3, 3, 3, 1], [3, 3, 0, 9], [3, 3, 1, 9], [1, 4, 4, 4]], dtype=np.uint8)
    np.testing.assert_array_equal(crop(canvas.reshape(-1), 4), np.ones((3, 2), dtype=np.uint8))
    assert crop(np.zeros(16, dtype=np.uint8), 4).size == 0


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (3, "inputs: expected a grid, as rows of colours 0 to 9 (got 3)"),
        ([], "inputs: expected a grid, as rows of colours 0 to 9 (got [])"),
        ([[1, 2], [3]], "inputs: expected a grid, as rows of equal length (got [[1, 2], [3]])"),
        ([[1, 2], 3], "inputs: expected a grid, as rows of equal length (got [[1, 2], 3])"),
        ([[]], "inputs: expected a grid, as rows of equal length (got [[]])"),
        ([[10]], "inputs: '10' is no colour; colours are 0 to 9"),
        (["1x"], "inputs: 'x' is no colour; colours are 0 to 9"),
        (["111111"], "inputs: a grid of 1 by 6 does not fit a canvas of side 5"),
    ],
)
def test_what_is_no_grid_is_refused(given: Any, message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        as_grid(given, "inputs", 5)
    assert str(refused.value) == message


@given(grids, grids, st.integers(0, 7), st.integers(0, 2**32 - 1))
def test_a_pair_has_its_images_name(one: Any, other: Any, turn: int, seed: int) -> None:
    """Turned and recoloured it keeps it; with one cell changed, or the background, it loses it."""
    colours = np.concatenate([[0], 1 + np.random.default_rng(seed).permutation(COLOURS - 1)]).astype(np.uint8)
    assert canonical((colours[turned(one, turn)], colours[turned(other, turn)])) == canonical((one, other))
    marked = one.copy()
    marked[0, 0] = 0 if one[0, 0] else 1
    assert canonical((marked, other)) != canonical((one, other))


def test_the_tasks_of_both_data_sets() -> None:
    """Counts, and what they share: the second is tested on six pairs of the first."""
    found = {(data_set, part): load(data_set, part) for data_set in ("arcagi1", "arcagi2") for part in PARTS.values()}
    counts = {key: (len(tasks), sum(len(task.queries) for task in tasks)) for key, tasks in found.items()}
    assert list(counts.values()) == [(400, 416), (400, 419), (1000, 1076), (120, 167)]
    queries = {
        data_set: {canonical(pair) for task in found[data_set, "evaluation"] for pair in task.queries}
        for data_set in ("arcagi1", "arcagi2")
    }
    assert len(queries["arcagi1"] & queries["arcagi2"]) == 6
    assert not _task("train", "007bbfb7").queries[0][0].flags.writeable
