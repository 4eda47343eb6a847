"""Names of boards: images share them, other boards do not; checked against the least of all images
where these can be listed.
"""

from __future__ import annotations

import numpy as np
import pytest

from trainables.puzzles.maze import Maze
from trainables.puzzles.puzzle import U8, Puzzle
from trainables.puzzles.sudoku import Sudoku
from trainables.puzzles.sudoku_solver import BLANK, full_grids
from trainables.puzzles.sudoku_symmetry import cell_images

PUZZLES = [Sudoku(4), Sudoku(6), Sudoku(8), Sudoku(9), Maze(9), Maze(13)]


def _some(puzzle: Puzzle, count: int, seed: int = 0) -> tuple[U8, U8]:
    generator = np.random.default_rng(seed)
    made = [puzzle.generate(generator) for _ in range(count)]
    return np.stack([board for board, _ in made]), np.stack([label for _, label in made])


def _least(size: int, board: U8) -> bytes:
    """The first of all images of a sudoku, digits renamed in the order in which they appear."""
    found = []
    for image in board[cell_images(size)].tolist():
        seen = {BLANK: BLANK}
        found.append(bytes(seen.setdefault(token, BLANK + len(seen)) for token in image))
    return min(found)


@pytest.mark.parametrize("puzzle", PUZZLES, ids=lambda puzzle: puzzle.key)
def test_images_share_the_name_and_the_answer(puzzle: Puzzle) -> None:
    inputs, labels = _some(puzzle, 6)
    expected = puzzle.names(inputs)
    generator = np.random.default_rng(1)
    for _ in range(10):
        image, answer = puzzle.images(inputs, labels, generator)
        assert not np.array_equal(image, inputs)
        np.testing.assert_array_equal(puzzle.names(image), expected)
        for board, label in zip(image, answer, strict=True):
            assert puzzle.only_answer(board, label)


@pytest.mark.parametrize("puzzle", PUZZLES[1:], ids=lambda puzzle: puzzle.key)
def test_other_boards_have_other_names(puzzle: Puzzle) -> None:
    inputs, _ = _some(puzzle, 12)
    found = puzzle.names(inputs)
    assert len(np.unique(found)) == len(found)
    for board, name in zip(inputs, found, strict=True):
        changed = board.copy()
        cells = np.flatnonzero(board != BLANK)
        changed[cells[0]] = changed[cells[-1]] = BLANK  # of a maze: two walls
        assert puzzle.canonical(changed) != name


@pytest.mark.parametrize(("size", "boards"), [(4, 60), (6, 8)])
def test_names_agree_with_the_least_of_all_images(size: int, boards: int) -> None:
    """Also where boards are near to each other: minimal puzzles of side 4 have 36 classes, and
    grids of side 6 have 49.
    """
    puzzle = Sudoku(size)
    inputs, labels = _some(puzzle, boards)
    image, answer = puzzle.images(inputs, labels, np.random.default_rng(3))
    every = np.concatenate([inputs, image, labels, answer])
    least = [_least(size, board) for board in every]
    found = puzzle.names(every).tolist()
    same = [[a == b for b in least] for a in least]
    assert [[a == b for b in found] for a in found] == same
    assert len(set(least)) < len(every) / 2 + 1


def test_the_grids_of_side_four_have_two_classes() -> None:
    assert np.unique(Sudoku(4).names(full_grids(4, 288)), return_counts=True)[1].tolist() in ([96, 192], [192, 96])


def test_a_square_board_may_be_transposed() -> None:
    puzzle = Sudoku(9)
    inputs, _ = _some(puzzle, 3)
    np.testing.assert_array_equal(
        puzzle.names(inputs), puzzle.names(inputs.reshape(-1, 9, 9).swapaxes(1, 2).reshape(-1, 81))
    )


def test_rows_of_different_bands_may_not_be_exchanged() -> None:
    puzzle = Sudoku(9)
    board = _some(puzzle, 1)[0][0].reshape(9, 9)
    inside, across = board[[1, 0, 2, 3, 4, 5, 6, 7, 8]], board[[3, 1, 2, 0, 4, 5, 6, 7, 8]]
    own, same, other = (puzzle.canonical(rows.reshape(-1)) for rows in (board, inside, across))
    assert own == same != other


def test_a_maze_may_be_turned_mirrored_and_run_backwards() -> None:
    puzzle = Maze(11)
    board = _some(puzzle, 1)[0][0].reshape(11, 11)
    backwards = np.array([0, 1, 2, 4, 3], dtype=np.uint8)[board]
    looks = [np.rot90(board), board.T, board[::-1], backwards, np.rot90(backwards, 3)]
    assert {puzzle.canonical(look.reshape(-1)) for look in looks} == {puzzle.canonical(board.reshape(-1))}


def test_every_image_is_drawn() -> None:
    grid = full_grids(4, 1)
    generator = np.random.default_rng(0)
    boards = np.repeat(grid, 4000, axis=0)
    drawn, counts = np.unique(Sudoku(4).images(boards, boards, generator)[0], axis=0, return_counts=True)
    assert len(drawn) in (96, 192)
    assert counts.min() > counts.mean() / 3
    assert counts.max() < counts.mean() * 2
    mazes = np.repeat(_some(Maze(9), 1)[0], 1000, axis=0)
    assert len(np.unique(Maze(9).images(mazes, mazes, generator)[0], axis=0)) == 16


def test_arrangements_are_those_that_are_drawn() -> None:
    assert [len(np.unique(cell_images(size), axis=0)) for size in (4, 6)] == [128, 3456]
    with pytest.raises(ValueError, match=r"^size: "):
        cell_images(9)
    grid = full_grids(6, 1)[0]
    listed = {_in_order(image) for image in grid[cell_images(6)]}
    boards = np.tile(grid, (20 * len(listed), 1))
    assert {_in_order(image) for image in Sudoku(6).images(boards, boards, np.random.default_rng(0))[0]} == listed


def _in_order(grid: U8) -> bytes:
    """A full grid with the digits of its first row in order."""
    return (grid[:6].astype(np.int64).argsort()[grid.astype(np.int64) - 2]).tobytes()
