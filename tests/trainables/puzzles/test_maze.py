"""Mazes: trees whose only path is the label."""

from __future__ import annotations

import numpy as np
import pytest

from trainables.puzzles.maze import FLOOR, GOAL, PATH, START, WALL, branches, generate, shortest_path
from trainables.puzzles.puzzle import U8

LETTERS = {"#": WALL, ".": FLOOR, "S": START, "G": GOAL, "*": PATH}


def _board(*rows: str) -> U8:
    return np.array([LETTERS[letter] for row in rows for letter in row], dtype=np.uint8)


def _distances(board: U8, size: int, start: int) -> dict[int, int]:
    distance, front = {start: 0}, [start]
    while front:
        front = [
            there
            for here in front
            for there in (here - size, here + size, here - 1, here + 1)
            if _enter(board, there, here, distance)
        ]
    return distance


def _enter(board: U8, there: int, here: int, distance: dict[int, int]) -> bool:
    if board[there] == WALL or there in distance:
        return False
    distance[there] = distance[here] + 1
    return True


@pytest.mark.parametrize("size", [5, 9, 11, 21])
def test_a_maze_is_a_tree_with_its_ends_far_apart(size: int) -> None:
    generator = np.random.default_rng(size)
    for _ in range(5):
        board, label = generate(size, generator)
        square = board.reshape(size, size)
        assert (square[[0, -1]] == WALL).all()
        assert (square[:, [0, -1]] == WALL).all()
        rooms = ((size - 1) // 2) ** 2
        assert (square[1::2, 1::2] != WALL).all()
        assert (board != WALL).sum() == 2 * rooms - 1  # as many doors as a tree has
        start, goal = board.tolist().index(START), board.tolist().index(GOAL)
        every = {int(cell): _distances(board, size, int(cell)) for cell in np.flatnonzero(board != WALL)}
        assert all(len(found) == 2 * rooms - 1 for found in every.values())
        length = max(max(found.values()) for found in every.values())
        assert every[start][goal] == length
        assert (label == PATH).sum() == length - 1
        on_path = [cell for cell in every if every[start][cell] + every[goal][cell] == length]
        expected = board.copy()
        expected[on_path] = np.where(board[on_path] == FLOOR, PATH, board[on_path])
        np.testing.assert_array_equal(label, expected)


def test_generation_depends_on_the_generator_alone() -> None:
    one, same, other = (generate(9, np.random.default_rng(seed))[0].tobytes() for seed in (3, 3, 4))
    assert one == same != other


def test_a_maze_drawn_by_hand() -> None:
    board = _board("#######", "#S..#.#", "#.#.#.#", "#.#...#", "#.#.#.#", "#.#.#G#", "#######")
    label, ways = shortest_path(board, 7)
    np.testing.assert_array_equal(
        label, _board("#######", "#S**#.#", "#.#*#.#", "#.#***#", "#.#.#*#", "#.#.#G#", "#######")
    )
    assert ways == 1
    assert branches(label, 7) == 3


def test_two_ways_around_are_counted() -> None:
    label, ways = shortest_path(_board("#####", "#S..#", "#.#.#", "#..G#", "#####"), 5)
    assert ways == 2
    assert (label == PATH).sum() == 3


def test_a_longer_way_around_is_not() -> None:
    label, ways = shortest_path(_board("#####", "#S.G#", "#.#.#", "#...#", "#####"), 5)
    assert ways == 1
    np.testing.assert_array_equal(label, _board("#####", "#S*G#", "#.#.#", "#...#", "#####"))


def test_a_goal_behind_walls_is_not_reached() -> None:
    board = _board("#####", "#S.##", "#####", "#..G#", "#####")
    label, ways = shortest_path(board, 5)
    assert ways == 0
    np.testing.assert_array_equal(label, board)
