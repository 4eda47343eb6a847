"""Sudoku against a solver that knows nothing of bit patterns, and the list of all boards of side 4."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pynauty
import pytest

from leadline.config import ConfigError
from trainables.puzzles import sudoku_solver
from trainables.puzzles.puzzle import U8
from trainables.puzzles.sudoku import BOARDS_OF_FOUR, FEWEST_CLUES, Sudoku
from trainables.puzzles.sudoku_classes import classes_of_four
from trainables.puzzles.sudoku_solver import (
    BLANK,
    DIGIT,
    SUDOKU_BOXES,
    full_grids,
    generate,
    propagated,
    solve,
)
from trainables.puzzles.sudoku_symmetry import graph

SEVENTEEN = "000000010400000000020000000000050407008000300001090000300400200050100000000806000"
ITS_SOLUTION = "693784512487512936125963874932651487568247391741398625319475268856129743274836159"


def _board(digits: str) -> U8:
    return np.array([int(digit) + DIGIT for digit in digits], dtype=np.uint8)


def _peers(size: int, cell: int) -> set[int]:
    tall, wide = SUDOKU_BOXES[size]
    row, column = divmod(cell, size)
    same = {
        r * size + c
        for r in range(size)
        for c in range(size)
        if r == row or c == column or (r // tall, c // wide) == (row // tall, column // wide)
    }
    return same - {cell}


def _count(tokens: list[int], size: int, limit: int) -> int:
    """Solutions up to `limit`, the open cell with the fewest tokens left first; none where digits
    that are given collide.
    """
    if any(
        token != BLANK and token in {tokens[peer] for peer in _peers(size, cell)} for cell, token in enumerate(tokens)
    ):
        return 0
    left = {
        cell: set(range(BLANK + 1, BLANK + 1 + size)) - {tokens[peer] for peer in _peers(size, cell)}
        for cell, token in enumerate(tokens)
        if token == BLANK
    }
    if not left:
        return 1
    cell = min(left, key=lambda place: len(left[place]))
    found = 0
    for token in left[cell]:
        found += _count([*tokens[:cell], token, *tokens[cell + 1 :]], size, limit - found)
        if found >= limit:
            break
    return found


def test_a_published_puzzle_of_seventeen_clues() -> None:
    solved = solve(_board(SEVENTEEN), 9)
    assert [solution.tolist() for solution in solved.solutions] == [_board(ITS_SOLUTION).tolist()]


def test_there_are_288_grids_of_side_four() -> None:
    grids = full_grids(4, 1000)
    assert len(np.unique(grids, axis=0)) == len(grids) == 288
    assert all(
        tokens[cell] not in {tokens[peer] for peer in _peers(4, cell)}
        for tokens in grids.tolist()
        for cell in range(16)
    )


@pytest.mark.parametrize(("size", "clues"), [(4, 4), (4, 6), (6, 9), (6, 12), (8, 16), (9, 20)])
def test_solutions_are_counted_as_by_plain_search(size: int, clues: int) -> None:
    generator = np.random.default_rng([size, clues])
    counts: Counter[int] = Counter()
    for _ in range(8):
        puzzle, grid = generate(size, 0, generator)
        shown = np.where(np.isin(np.arange(size * size), generator.permutation(size * size)[:clues]), grid, puzzle)
        opened = shown.copy()
        opened[generator.choice(np.flatnonzero(shown != BLANK), 2, replace=False)] = BLANK
        broken = shown.copy()
        broken[generator.choice(np.flatnonzero(shown == BLANK))] = BLANK + 1 + generator.integers(size)
        for board in (shown, opened, broken):
            expected = _count(board.tolist(), size, 2)
            assert len(solve(board, size).solutions) == expected
            counts[expected] += 1
    assert set(counts) == {0, 1, 2}


@pytest.mark.parametrize("size", SUDOKU_BOXES)
def test_a_generated_puzzle_has_one_solution_and_no_clue_to_spare(size: int) -> None:
    generator = np.random.default_rng(size)
    for _ in range(3):
        puzzle, grid = generate(size, 0, generator)
        solutions = solve(puzzle, size).solutions
        assert len(solutions) == 1
        np.testing.assert_array_equal(solutions[0], grid)
        given = np.flatnonzero(puzzle != BLANK)
        np.testing.assert_array_equal(puzzle[given], grid[given])
        for cell in given:
            fewer = puzzle.copy()
            fewer[cell] = BLANK
            assert len(solve(fewer, size).solutions) == 2


@pytest.mark.parametrize(("size", "clues"), [(4, 5), (6, 14), (6, 18), (8, 24), (9, 30)])
def test_a_number_of_clues_is_kept(size: int, clues: int) -> None:
    puzzle, grid = generate(size, clues, np.random.default_rng(1))
    assert (puzzle != BLANK).sum() == clues
    np.testing.assert_array_equal(solve(puzzle, size).solutions, [grid])


def test_generation_depends_on_the_generator_alone() -> None:
    one, same, other = (generate(6, 0, np.random.default_rng(seed))[0].tobytes() for seed in (3, 3, 4))
    assert one == same != other


def test_clues_that_nobody_finds_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sudoku_solver, "ATTEMPTS", 3)
    with pytest.raises(ConfigError, match=r"^clues: 3 grids of side 9 gave no puzzle of 17; \d+ was the fewest"):
        generate(9, 17, np.random.default_rng(0))


def test_no_guesses_exactly_where_singles_suffice() -> None:
    generator = np.random.default_rng(5)
    without = 0
    for _ in range(30):
        puzzle, grid = generate(9, 0, generator)
        filled = propagated(puzzle, 9)
        assert ((filled == grid) | (filled == BLANK)).all()
        assert np.array_equal(filled, grid) == (solve(puzzle, 9).guesses == 0)
        without += np.array_equal(filled, grid)
    assert 5 < without < 25


def test_a_contradiction_is_left_as_it_is() -> None:
    puzzle = np.full(81, BLANK, dtype=np.uint8)
    puzzle[[0, 1]] = BLANK + 5
    assert solve(puzzle, 9) == ([], 0)
    np.testing.assert_array_equal(propagated(puzzle, 9), puzzle)


def test_a_digit_that_fits_one_cell_of_a_row_is_found() -> None:
    puzzle = _board("000000000000500000000000050" + "000000000" * 6)
    puzzle[[1, 2]] = _board("12")  # of the first three rows' boxes, only the first has room for 5, in one cell of row 0
    assert propagated(puzzle, 9)[0] == 5 + DIGIT


def test_the_boards_of_side_four() -> None:
    puzzles, solutions = classes_of_four()
    assert len(puzzles) == 4708
    assert len(np.unique(Sudoku(4).names(puzzles))) == len(puzzles)
    assert Counter((puzzles != BLANK).sum(axis=1).tolist()) == BOARDS_OF_FOUR
    for puzzle, solution in zip(puzzles[::10], solutions[::10], strict=True):
        np.testing.assert_array_equal(solve(puzzle, 4).solutions, [solution])
    four = puzzles[(puzzles != BLANK).sum(axis=1) <= 6]
    minimal = [
        p
        for p in four
        if all(
            _count(np.where(np.arange(16) == cell, BLANK, p).tolist(), 4, 2) == 2 for cell in np.flatnonzero(p - BLANK)
        )
    ]
    assert len(minimal) == 36  # of which 13 with four clues, the fewest; more than six clues always spare one
    assert sum((p != BLANK).sum() == FEWEST_CLUES[4] for p in minimal) == 13


def test_no_board_of_side_four_is_missing() -> None:
    """Every puzzle is of a listed class if it has one solution, and of none otherwise."""
    listed = set(Sudoku(4).names(classes_of_four()[0]).tolist())
    generator = np.random.default_rng(2)
    grids = full_grids(4, 288)
    boards = np.where(
        generator.random((600, 16)) < generator.random((600, 1)), grids[generator.integers(0, 288, 600)], BLANK
    ).astype(np.uint8)
    boards = boards[(boards == BLANK).any(axis=1)]
    unique = [_count(board.tolist(), 4, 2) == 1 for board in boards]
    assert [name in listed for name in Sudoku(4).names(boards).tolist()] == unique
    assert 100 < sum(unique) < 500


def test_the_classes_of_side_four_hold_all_its_puzzles() -> None:
    """Orbits have 3072 / |stabiliser| puzzles each; together they are all puzzles with one
    solution, counted grid by grid.
    """
    puzzles = sum(_orbit(puzzle) for puzzle in classes_of_four()[0])
    grids = full_grids(4, 288)
    bits = 1 << np.arange(16)
    subsets = np.arange(1 << 16)
    counted = 0
    for plain in (grids[0], _of_the_other_class(grids)):
        agreeing = ((grids == plain) * bits).sum(axis=1)
        several = np.zeros(len(subsets), dtype=np.int64)
        for same in agreeing:
            several += (subsets & ~same) == 0
        counted += _orbit(plain) * int(((several == 1) & (subsets < subsets[-1])).sum())
    assert puzzles == counted


def _orbit(board: U8) -> int:
    """Images of a board of side 4."""
    _, mantissa, exponent, *_ = pynauty.autgrp(graph(4, board))
    return round(3072 / float(mantissa * 10**exponent))


def _of_the_other_class(grids: U8) -> U8:
    found = Sudoku(4).names(grids)
    assert len(np.unique(found)) == 2
    return np.asarray(grids[found != found[0]][0])
