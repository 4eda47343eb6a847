"""Mazes without cycles, so that one path alone leads from start to goal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from leadline.config import ConfigError
from trainables.recursive.puzzles.puzzle import (
    U8,
    Boards,
    Fields,
    Mask,
    Predictor,
    Puzzle,
    Rows,
    Token,
    digest_name,
    read_square,
    show_square,
)
from trainables.recursive.puzzles.square import moved, square_images

__all__ = ["EXCHANGED", "FLOOR", "GOAL", "PATH", "START", "WALL", "Maze", "branches", "generate", "shortest_path"]

WALL, FLOOR, START, GOAL, PATH = 1, 2, 3, 4, 5
"""Tokens of a maze; 0 is PAD."""

EXCHANGED = np.array([[0, WALL, FLOOR, START, GOAL, PATH], [0, WALL, FLOOR, GOAL, START, PATH]])
"""A maze's token for each token, as it is and with start and goal exchanged: int64 [2, 6]."""

SYMBOLS = "?#.SGo"
"""How each token is shown."""
CELLS = {"#": WALL, ".": FLOOR, " ": FLOOR, "0": FLOOR, "S": START, "G": GOAL}
"""What may stand in a maze that is to be solved."""


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


@dataclass(frozen=True)
class Maze(Puzzle):
    """Mazes of an odd side with walls around. Their 16 images are the square's 8, and those with start and goal exchanged.

    Attributes:
        size: side of the board.
    """

    size: int
    shared_part_called: ClassVar[str] = "walls"

    @classmethod
    def problem(cls, fields: Fields) -> str:
        """The side must be odd, and nothing but the walls is given."""
        if fields.size % 2 == 0:
            return f"size: a maze has an odd side, walls around it (got {fields.size})"
        if fields.clues:
            return f"clues: a maze has none (got {fields.clues})"
        return ""

    @classmethod
    def of(cls, fields: Fields) -> Maze:
        """Mazes of the side `size`."""
        return cls(fields.size)

    @property
    def key(self) -> str:
        """Kind and side."""
        return f"maze{self.size}"

    @property
    def cells(self) -> int:
        """Cells of the square."""
        return self.size * self.size

    @property
    def vocabulary(self) -> int:
        """PAD 0; wall, floor, start, goal and path, 1 to 5."""
        return 6

    def generate(self, generator: np.random.Generator) -> tuple[U8, U8]:
        """A maze, and the same with its path: uint8 [cells] each."""
        return generate(self.size, generator)

    def canonical(self, board: U8) -> bytes:
        """The digest of the first of the 16 images in the order of bytes."""
        both = EXCHANGED.astype(np.uint8)[:, board]
        return digest_name(min(bytes(image) for image in both[:, square_images(self.size)].reshape(16, -1)))

    def images(
        self, inputs: npt.NDArray[Token], labels: npt.NDArray[Token], generator: np.random.Generator
    ) -> tuple[npt.NDArray[Token], npt.NDArray[Token]]:
        """One of the 16 images of each board; between start and goal exchanged the path is the same."""
        rows = len(inputs)
        cells = square_images(self.size)[generator.integers(0, 8, rows)]
        tokens = EXCHANGED[generator.integers(0, 2, rows)]
        return moved(inputs, cells, tokens), moved(labels, cells, tokens)

    def difficulty(self, board: U8, label: U8) -> int:
        """Ways that leave the path: `branches`."""
        return branches(label, self.size)

    def asked(self, inputs: npt.NDArray[Token]) -> Mask:
        """The floor, which may be part of the path."""
        return np.asarray(inputs == FLOOR)

    def lawful(self, inputs: U8, answers: U8) -> Mask:
        """Whether each maze has walls around, one start and one goal, and its answer differs on the floor alone: bool [boards]."""
        square = inputs.reshape(-1, self.size, self.size)
        rim = np.concatenate([square[:, [0, -1]], square[:, :, [0, -1]].swapaxes(1, 2)], axis=1)
        ends = np.stack([(inputs == token).sum(axis=1) for token in (START, GOAL)])
        same = (inputs == answers) | (inputs == FLOOR)
        return np.asarray((rim == WALL).all(axis=(1, 2)) & (ends == 1).all(axis=0) & same.all(axis=1))

    def solves(self, board: U8, answer: U8) -> bool:
        """Whether the answer draws a shortest path, and nothing else."""
        if not super().solves(board, answer) or not np.isin(answer[board == FLOOR], (FLOOR, PATH)).all():
            return False
        shortest, ways = shortest_path(board, self.size)
        drawn = answer == PATH
        # Start and goal that are joined by as many cells as a shortest path has are joined by one.
        along = np.where(drawn | (board == START) | (board == GOAL), board, WALL).astype(np.uint8)
        return ways > 0 and int(drawn.sum()) == int((shortest == PATH).sum()) and shortest_path(along, self.size)[1] > 0

    def only_answer(self, board: U8, label: U8) -> bool:
        """Whether the label is the only shortest path."""
        path, ways = shortest_path(board, self.size)
        return ways == 1 and np.array_equal(path, label)

    def shared_part(self, labels: U8) -> U8:
        """The walls, without start, goal and path."""
        return np.minimum(labels, FLOOR)

    def predictors(self, train: Boards) -> dict[str, Predictor]:
        """The maze itself, the most frequent labels, and the solver."""
        return {
            "copy the maze": lambda boards: boards.inputs,
            "per-cell most frequent label": self.most_frequent(train),
            "oracle: solver": lambda boards: np.stack([shortest_path(board, self.size)[0] for board in boards.inputs]),
        }

    def read(self, inputs: Any) -> Rows:
        """A maze as one row: `#` wall, `S` start, `G` goal; `.`, `0` or a space is floor.

        Raises:
            ConfigError: beginning with `inputs`, if it has not these cells, or walls around, one start, one goal and a
                way between them.
        """
        called = f"a maze of side {self.size} (# wall, . floor, S start, G goal)"
        board = read_square(inputs, self.size, CELLS, called)
        for token, name in ((START, "start S"), (GOAL, "goal G")):
            if (count := int((board == token).sum())) != 1:
                raise ConfigError(f"inputs: a maze has one {name} (got {count})")
        if not self.lawful(board[None], board[None])[0]:
            raise ConfigError("inputs: a maze has walls # all around it")
        if not shortest_path(board, self.size)[1]:
            raise ConfigError("inputs: no way leads from S to G")
        row = board.astype(np.int64)[None]
        return {"inputs": row, "labels": row, "puzzle": np.zeros(1, dtype=np.int64)}

    def show(self, board: U8) -> tuple[str, ...]:
        """Lines of `#`, `.`, `S`, `G`, and `o` along the path."""
        return show_square(board, self.size, SYMBOLS)

    @property
    def example(self) -> tuple[str, ...]:
        """A maze, always the same."""
        return self.show(self.generate(np.random.default_rng(0))[0])
