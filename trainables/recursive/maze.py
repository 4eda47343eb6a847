"""Mazes without cycles, so that one path alone leads from start to goal; tokens as in `board`."""

from __future__ import annotations

import numpy as np

from trainables.recursive.board import FLOOR, GOAL, PATH, START, U8, WALL

__all__ = ["branches", "generate", "shortest_path"]


def _room(size: int, generator: np.random.Generator) -> int:
    row, column = (2 * generator.integers(0, (size - 1) // 2, 2) + 1).tolist()
    return int(row * size + column)


def _carve(size: int, generator: np.random.Generator) -> list[int]:
    """Walls and floor of a maze, [cells]: rooms at odd places, joined by a depth-first walk that turns at random."""
    tokens = [WALL] * (size * size)
    walk = [_room(size, generator)]
    tokens[walk[0]] = FLOOR
    while walk:
        here = walk[-1]
        row, column = divmod(here, size)
        ahead = ((row > 1, -size), (row < size - 2, size), (column > 1, -1), (column < size - 2, 1))
        open_ways = [way for inside, way in ahead if inside and tokens[here + 2 * way] == WALL]
        if not open_ways:
            walk.pop()
            continue
        way = open_ways[generator.integers(len(open_ways))]
        tokens[here + way] = tokens[here + 2 * way] = FLOOR
        walk.append(here + 2 * way)
    return tokens


def _reach(tokens: list[int], size: int, start: int) -> tuple[list[int], dict[int, int], dict[int, int]]:
    """Cells in the order of their distance from the start, the one before each, and the number of shortest paths to each."""
    order, before, distance, paths = [start], {start: start}, {start: 0}, {start: 1}
    for here in order:
        for there in (here - size, here + size, here - 1, here + 1):
            if tokens[there] == WALL:
                continue
            if there not in distance:
                order.append(there)
                before[there], distance[there], paths[there] = here, distance[here] + 1, 0
            if distance[there] == distance[here] + 1:
                paths[there] += paths[here]
    return order, before, paths


def shortest_path(board: U8, size: int) -> tuple[U8, int]:
    """A maze with a shortest path drawn in, uint8 [cells], and the number of shortest paths; 0 and the maze itself where none leads there.

    Args:
        board: uint8 [cells], walls all around.
        size: side of the board.
    """
    tokens = board.tolist()
    start, goal = tokens.index(START), tokens.index(GOAL)
    _, before, paths = _reach(tokens, size, start)
    here = before.get(goal, start)
    while here != start:
        tokens[here] = PATH
        here = before[here]
    return np.array(tokens, dtype=np.uint8), paths.get(goal, 0)


def branches(label: U8, size: int) -> int:
    """Ways that leave the path of a solved maze, uint8 [cells]: the places where a walker may go wrong."""
    square = label.reshape(size, size)
    on_path, floor = square >= START, square == FLOOR
    beside = (
        on_path[1:] & floor[:-1],
        on_path[:-1] & floor[1:],
        on_path[:, 1:] & floor[:, :-1],
        on_path[:, :-1] & floor[:, 1:],
    )
    return int(sum(side.sum() for side in beside))


def generate(size: int, generator: np.random.Generator) -> tuple[U8, U8]:
    """A maze and the same with its path, uint8 [cells] each; start and goal are as far apart as two rooms can be.

    Args:
        size: odd side of the board, 5 or more.
        generator: draws the walls and the ends.
    """
    tokens = _carve(size, generator)
    start = _reach(tokens, size, _room(size, generator))[0][-1]  # in a tree, an end of a longest path
    tokens[start], tokens[_reach(tokens, size, start)[0][-1]] = START, GOAL
    board = np.array(tokens, dtype=np.uint8)
    return board, shortest_path(board, size)[0]
