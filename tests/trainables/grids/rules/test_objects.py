"""Objects, holes and single pixels, against slow definitions."""

from __future__ import annotations

import numpy as np
import pytest

from tests.trainables.grids.rules.drawing import grid
from trainables.grids.rules.objects import beside, box, enclosed, lonely, objects, only
from trainables.grids.rules.rule import Grid

SIDES = ((0, 1), (0, -1), (1, 0), (-1, 0))


def _random(seed: int, colours: int) -> Grid:
    generator = np.random.default_rng(seed)
    height, width = generator.integers(1, 8, 2)
    return generator.integers(0, colours, (height, width)).astype(np.uint8)


def _labels(cells: Grid) -> dict[tuple[int, int], int]:
    """Gives each cell the least number that any cell of its object has, by passing numbers on."""
    places = [(int(row), int(column)) for row, column in np.ndindex(cells.shape)]
    label = {place: number for number, place in enumerate(places)}
    for _ in places:
        for row, column in places:
            near = [(row + down, column + right) for down, right in SIDES]
            alike = [place for place in near if place in label and cells[place] == cells[row, column]]
            label[row, column] = min(label[place] for place in [*alike, (row, column)])
    return label


@pytest.mark.parametrize("seed", range(30))
def test_objects_are_the_joined_cells_of_a_colour(seed: int) -> None:
    cells = _random(seed, 2 + seed % 3)
    width = cells.shape[1]
    expected: dict[int, set[int]] = {}
    for (row, column), label in _labels(cells).items():
        if cells[row, column]:
            expected.setdefault(label, set()).add(row * width + column)
    found = objects(cells)
    assert [set(places) for places in found] == [expected[label] for label in sorted(expected)]
    assert sum(map(len, found)) == np.count_nonzero(cells)
    np.testing.assert_array_equal(
        lonely(cells).ravel().nonzero()[0], sorted(place for places in found if len(places) == 1 for place in places)
    )


@pytest.mark.parametrize("seed", range(30))
def test_enclosed_cells_have_no_way_to_the_edge(seed: int) -> None:
    cells = _random(seed, 2)
    label = _labels(cells)
    height, width = cells.shape
    at_edge = {label[row, column] for row, column in label if row in (0, height - 1) or column in (0, width - 1)}
    expected = {place for place in label if not cells[place] and label[place] not in at_edge}
    assert {(int(row), int(column)) for row, column in np.argwhere(enclosed(cells))} == expected


def test_some_of_these_grids_have_holes() -> None:
    assert sum(bool(enclosed(_random(seed, 2)).any()) for seed in range(30)) > 3


@pytest.mark.parametrize("seed", range(10))
def test_beside_reaches_one_cell_each_way(seed: int) -> None:
    cells = _random(seed, 2) * _random(seed, 2)[::-1, ::-1]
    for row, column in np.ndindex(cells.shape):
        around = cells[max(0, row - 1) : row + 2, max(0, column - 1) : column + 2]
        assert beside(cells)[row, column] == around.any()


def test_box_and_only() -> None:
    cells = grid("0000/0120/0030")
    assert cells[box(cells)].tolist() == [[1, 2], [0, 3]]
    assert cells[box(np.zeros_like(cells))].shape == cells.shape
    assert only(cells, (5, 10)).tolist() == grid("0000/0100/0030").tolist()
