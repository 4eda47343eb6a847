"""Mazes without cycles, so that one path alone leads from start to goal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from leadline.config import ConfigError
from trainables.puzzles.puzzle import (
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
from trainables.puzzles.square import moved, square_images

__all__ = ["EXCHANGED", "FLOOR", "GOAL", "PATH", "START", "WALL", "Maze", "branches", "generate", "shortest_path"]

WALL, FLOOR, START, GOAL, PATH = 1, 2, 3, 4, 5
"""The tokens of a maze; 0 is PAD."""

EXCHANGED = np.array([[0, WALL, FLOOR, START, GOAL, PATH], [0, WALL, FLOOR, GOAL, START, PATH]])
"""The new token for each token of a maze: unchanged, and with start and goal exchanged.

int64 [2, 6].
"""

SYMBOLS = "?#.SGo"
"""The character that shows each token."""
CELLS = {"#": WALL, ".": FLOOR, " ": FLOOR, "0": FLOOR, "S": START, "G": GOAL}
"""The characters that may stand in a maze that is to be solved, and their tokens."""


def _room(size: int, generator: np.random.Generator) -> int:
    """Draws a room, a cell at an odd row and column, and returns its number."""
    row, column = (2 * generator.integers(0, (size - 1) // 2, 2) + 1).tolist()
    return int(row * size + column)


def _carve(size: int, generator: np.random.Generator) -> list[int]:
    """Draws the walls and the floor of a maze, [cells].

    Rooms at odd places are joined by a depth-first walk that turns at random.
    """
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
    """Walks from the start to every cell.

    Returns:
        The cells in the order of their distance, the cell before each, and the number of shortest
        paths to each.
    """
    order, before = [start], {start: start}
    distance, paths = {start: 0}, {start: 1}
    for here in order:
        for there in (here - size, here + size, here - 1, here + 1):
            if tokens[there] == WALL:
                continue
            if there not in distance:
                order.append(there)
                before[there] = here
                distance[there] = distance[here] + 1
                paths[there] = 0
            if distance[there] == distance[here] + 1:
                paths[there] += paths[here]
    return order, before, paths


def shortest_path(board: U8, size: int) -> tuple[U8, int]:
    """Draws a shortest path into a maze.

    Args:
        board: uint8 [cells], walls all around.
        size: side of the board.

    Returns:
        The maze with its path, uint8 [cells], and the number of shortest paths: 0, and the maze
        itself, if there is none.
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
    """Counts the ways that leave the path of a solved maze, uint8 [cells].

    They are the places where a walker may go wrong.
    """
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
    """Draws a maze whose start and goal are as far apart as two rooms can be.

    Args:
        size: odd side of the board, 5 or more.
        generator: draws the walls and the ends.

    Returns:
        The maze, and the same with its path, uint8 [cells] each.
    """
    tokens = _carve(size, generator)
    # In a tree, the cell farthest from any cell is an end of a longest path.
    start = _reach(tokens, size, _room(size, generator))[0][-1]
    goal = _reach(tokens, size, start)[0][-1]
    tokens[start] = START
    tokens[goal] = GOAL
    board = np.array(tokens, dtype=np.uint8)
    return board, shortest_path(board, size)[0]


@dataclass(frozen=True)
class Maze(Puzzle):
    """Mazes of an odd side with walls around.

    A maze has 16 images: the square's 8, and those with start and goal exchanged.

    Attributes:
        size: side of the board.
    """

    size: int
    shared_part_called: ClassVar[str] = "walls"

    @classmethod
    def problem(cls, fields: Fields) -> str:
        """Refuses an even side, and clues, which a maze has not."""
        if fields.size % 2 == 0:
            return f"size: a maze has an odd side, walls around it (got {fields.size})"
        if fields.clues:
            return f"clues: a maze has none (got {fields.clues})"
        return ""

    @classmethod
    def of(cls, fields: Fields) -> Maze:
        """Returns the mazes of the side `size`."""
        return cls(fields.size)

    @property
    def key(self) -> str:
        """The kind and the side."""
        return f"maze{self.size}"

    @property
    def cells(self) -> int:
        """The number of cells of the square."""
        return self.size * self.size

    @property
    def vocabulary(self) -> int:
        """The number of tokens: PAD 0; wall, floor, start, goal and path, 1 to 5."""
        return 6

    def generate(self, generator: np.random.Generator) -> tuple[U8, U8]:
        """Draws a maze, and the same with its path: uint8 [cells] each."""
        return generate(self.size, generator)

    def canonical(self, board: U8) -> bytes:
        """Returns the digest of the first of the 16 images in the order of bytes."""
        both = EXCHANGED.astype(np.uint8)[:, board]
        return digest_name(min(bytes(image) for image in both[:, square_images(self.size)].reshape(16, -1)))

    def images(
        self, inputs: npt.NDArray[Token], labels: npt.NDArray[Token], generator: np.random.Generator
    ) -> tuple[npt.NDArray[Token], npt.NDArray[Token]]:
        """Draws one of the 16 images of each board.

        The path stays the same if start and goal are exchanged.
        """
        rows = len(inputs)
        cells = square_images(self.size)[generator.integers(0, 8, rows)]
        tokens = EXCHANGED[generator.integers(0, 2, rows)]
        return moved(inputs, cells, tokens), moved(labels, cells, tokens)

    def difficulty(self, board: U8, label: U8) -> int:
        """Counts the ways that leave the path, by `branches`."""
        return branches(label, self.size)

    def asked(self, inputs: npt.NDArray[Token]) -> Mask:
        """Tells which cells are floor, which may be part of the path."""
        return np.asarray(inputs == FLOOR)

    def lawful(self, inputs: U8, answers: U8) -> Mask:
        """Tells which mazes and answers are well formed, bool [boards].

        Such a maze has walls around, one start and one goal, and its answer differs from it on the
        floor alone.
        """
        square = inputs.reshape(-1, self.size, self.size)
        rim = np.concatenate([square[:, [0, -1]], square[:, :, [0, -1]].swapaxes(1, 2)], axis=1)
        ends = np.stack([(inputs == token).sum(axis=1) for token in (START, GOAL)])
        same = (inputs == answers) | (inputs == FLOOR)
        return np.asarray((rim == WALL).all(axis=(1, 2)) & (ends == 1).all(axis=0) & same.all(axis=1))

    def solves(self, board: U8, answer: U8) -> bool:
        """Tells whether the answer draws a shortest path, and nothing else."""
        if not super().solves(board, answer) or not np.isin(answer[board == FLOOR], (FLOOR, PATH)).all():
            return False
        shortest, ways = shortest_path(board, self.size)
        drawn = answer == PATH
        # Start and goal are joined by a shortest path if the drawn cells join them and are as many.
        along = np.where(drawn | (board == START) | (board == GOAL), board, WALL).astype(np.uint8)
        return ways > 0 and int(drawn.sum()) == int((shortest == PATH).sum()) and shortest_path(along, self.size)[1] > 0

    def only_answer(self, board: U8, label: U8) -> bool:
        """Tells whether the label is the only shortest path."""
        path, ways = shortest_path(board, self.size)
        return ways == 1 and np.array_equal(path, label)

    def shared_part(self, labels: U8) -> U8:
        """Returns the walls, without start, goal and path."""
        return np.minimum(labels, FLOOR)

    def predictors(self, train: Boards) -> dict[str, Predictor]:
        """Returns as predictors the maze itself, the most frequent labels, and the solver."""
        return {
            "copy the maze": lambda boards: boards.inputs,
            "per-cell most frequent label": self.most_frequent(train),
            "oracle: solver": lambda boards: np.stack([shortest_path(board, self.size)[0] for board in boards.inputs]),
        }

    def read(self, inputs: Any) -> Rows:
        """Reads a maze as one row: `#` wall, `S` start, `G` goal; `.`, `0` or a space is floor.

        Raises:
            ConfigError: beginning with `inputs`, if it has not these cells, or walls around, one
                start, one goal and a way between them.
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
        """Shows a maze as lines of `#`, `.`, `S`, `G`, and `o` along the path."""
        return show_square(board, self.size, SYMBOLS)

    @property
    def example(self) -> tuple[str, ...]:
        """A maze, always the same."""
        return self.show(self.generate(np.random.default_rng(0))[0])
