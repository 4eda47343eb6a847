"""The puzzles by the protocol: what of a configuration cannot be, and what they read, show and call solved."""

from __future__ import annotations

import dataclasses
import pickle
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
import pytest

from leadline.config import ConfigError
from trainables.puzzles.maze import FLOOR, PATH, WALL, Maze
from trainables.puzzles.puzzle import U8, Puzzle
from trainables.puzzles.registry import PUZZLES, PuzzleName
from trainables.puzzles.sudoku import FEWEST_CLUES, Sudoku
from trainables.puzzles.sudoku_solver import BLANK, SUDOKU_BOXES

EVERY = [Sudoku(4), Sudoku(6), Sudoku(9, 30), Maze(7), Maze(11)]


@dataclass(frozen=True)
class Asked:
    """What a configuration asks of a puzzle."""

    size: int
    clues: int = 0
    train_boards: int = 0
    validation_boards: int = 0
    test_boards: int = 0
    data_set: str = "arcagi1"
    protocol: str = "transductive"
    task_ids: tuple[str, ...] = ()
    demonstrations: int = 0
    augmentations: int = 0
    train_rules: int = 12
    grid_size: int = 0


def test_every_name_has_its_puzzle() -> None:
    assert set(PUZZLES) == set(get_args(PuzzleName))
    keys = {name: kind.of(Asked(9)).key for name, kind in PUZZLES.items()}
    arc = "arcagi1-side9-transductive-shown0-images0"
    assert keys == {"sudoku": "sudoku9", "maze": "maze9", "arc": arc, "rules": "rules12-side9-shown0"}


@pytest.mark.parametrize(
    ("puzzle", "asked", "message"),
    [
        (Sudoku, Asked(5), "size: a sudoku of rectangular boxes has side 4, 6, 8, 9 (got 5)"),
        (Sudoku, Asked(9, 81), "clues: must leave a cell of 81 open (got 81)"),
        (Sudoku, Asked(9, 16), "clues: a sudoku of side 9 with one solution has at least 17 (got 16)"),
        (
            Sudoku,
            Asked(4, 0, 4000, 700, 9),
            "train_boards: with validation_boards and test_boards at most the 4708 sudokus of side 4 up to symmetry (got 4709)",  # noqa: E501
        ),
        (
            Sudoku,
            Asked(4, 4, 14),
            "train_boards: with validation_boards and test_boards at most the 13 sudokus of side 4 and 4 clues up to symmetry (got 14)",  # noqa: E501
        ),
        (Maze, Asked(8), "size: a maze has an odd side, walls around it (got 8)"),
        (Maze, Asked(9, 3), "clues: a maze has none (got 3)"),
    ],
)
def test_boards_that_cannot_be(puzzle: type[Puzzle], asked: Asked, message: str) -> None:
    assert puzzle.problem(asked) == message


def test_boards_that_can_be() -> None:
    for size in SUDOKU_BOXES:
        boards = 3000 if size > 4 else 13
        assert not any(Sudoku.problem(Asked(size, clues, boards)) for clues in (0, FEWEST_CLUES[size]))
    assert not Sudoku.problem(Asked(4, 0, 4708))
    assert not Maze.problem(Asked(9, 0, 10**6))


@pytest.mark.parametrize("puzzle", EVERY, ids=lambda puzzle: puzzle.key)
def test_what_a_puzzle_makes_it_calls_right(puzzle: Puzzle) -> None:
    """Also in another process, and of an image; nothing else is an answer, and the oracle finds it."""
    generator = np.random.default_rng(3)
    drawn = puzzle.draw({"test": 5, "train": 4}, generator)
    assert {split: len(boards) for split, boards in drawn.items()} == {"test": 5, "train": 4}
    assert len({name for boards in drawn.values() for name in boards.classes.tolist()}) == 9
    boards = drawn["test"]
    assert pickle.loads(pickle.dumps(puzzle)) == puzzle  # noqa: S301  (written in this line)
    inputs, labels = puzzle.images(boards.inputs, boards.labels, generator)
    assert puzzle.lawful(inputs, labels).all()
    of_others = np.roll(labels, 1, axis=0)
    np.testing.assert_array_equal(puzzle.lawful(inputs, of_others), (labels == of_others).all(axis=1))
    for board, label in zip(inputs, labels, strict=True):
        assert puzzle.solves(board, label)
        assert puzzle.only_answer(board, label)
        assert not puzzle.solves(board, board)
    images = dataclasses.replace(boards, inputs=inputs, labels=labels)
    np.testing.assert_array_equal(puzzle.classes(images), boards.classes)
    predicted = {name: predict(images) for name, predict in puzzle.predictors(boards).items()}
    np.testing.assert_array_equal(predicted["oracle: solver"], labels)
    for answer in predicted.values():
        np.testing.assert_array_equal(answer[~puzzle.asked(inputs)], inputs[~puzzle.asked(inputs)])


@pytest.mark.parametrize("puzzle", EVERY, ids=lambda puzzle: puzzle.key)
def test_what_is_shown_can_be_read(puzzle: Puzzle) -> None:
    board, _ = puzzle.generate(np.random.default_rng(1))
    lines = puzzle.show(board)
    spaced = [" ".join(line) if isinstance(puzzle, Sudoku) else line.replace(".", " ") for line in lines]
    nested = [[int(cell) if cell.isdigit() else 0 if cell == "." else cell for cell in line] for line in lines]
    ways = [lines, "\n".join(lines), "".join(lines), [list(line) for line in lines], spaced, nested, np.array(nested)]
    for way in ways:
        rows = puzzle.read(way)
        np.testing.assert_array_equal(rows["inputs"], board[None])
        assert rows["puzzle"].tolist() == [0]
    assert puzzle.read(puzzle.example)["inputs"].shape == (1, puzzle.cells)


BAD: dict[str, tuple[Puzzle, Any, str]] = {
    "a number": (
        Sudoku(4),
        7,
        r"inputs: expected a sudoku of side 4 \(1 to 4, and 0 or . where it is open\), as lines",
    ),
    "nothing": (Sudoku(4), "", r"inputs: expected .*, 4 rows of 4 cells \(got 0 rows of 0 cells\)"),
    "a short row": (Sudoku(4), ["1234", "3412", "214", "4321"], r"inputs: .* \(got 4 rows of 3 to 4 cells\)"),
    "a row too few": (Sudoku(4), ["1234", "3412", "2143"], r"inputs: .* \(got 3 rows of 4 cells\)"),
    "another digit": (
        Sudoku(4),
        ["1234", "3415", "2143", "...."],
        r"inputs: '5' in row 2 is no cell of a sudoku of side 4",
    ),
    "a digit below 0": (Sudoku(4), [[1, 2, 3, 4], [0] * 4, [0, -1, 0, 0], [0] * 4], r"inputs: '-1' in row 3"),
    "twice in a row": (Sudoku(4), ["1..1", "....", "....", "...."], r"inputs: 1 stands twice in row 1$"),
    "twice in a column": (Sudoku(4), ["1...", "....", "....", "1..."], r"inputs: 1 stands twice in column 1$"),
    "twice in a box": (Sudoku(4), ["....", "....", "..2.", "...2"], r"inputs: 2 stands twice in box 4$"),
    "twice in a wide box": (
        Sudoku(6),
        ["......", "......", "....6.", ".....6", "......", "......"],
        r"inputs: 6 stands twice in box 4$",
    ),
    "no start": (Maze(5), ["#####", "#..G#", "#.#.#", "#...#", "#####"], r"inputs: a maze has one start S \(got 0\)"),
    "two goals": (Maze(5), ["#####", "#S.G#", "#.#.#", "#..G#", "#####"], r"inputs: a maze has one goal G \(got 2\)"),
    "a gap": (Maze(5), ["#####", "#S.G.", "#.#.#", "#...#", "#####"], r"inputs: a maze has walls # all around it"),
    "no way": (Maze(5), ["#####", "#S#G#", "#.#.#", "#.#.#", "#####"], r"inputs: no way leads from S to G"),
    "a path": (
        Maze(5),
        ["#####", "#SoG#", "#.#.#", "#...#", "#####"],
        r"inputs: 'o' in row 2 is no cell of a maze of side 5",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_no_board_is_refused(case: str) -> None:
    puzzle, inputs, message = BAD[case]
    with pytest.raises(ConfigError, match=f"^{message}"):
        puzzle.read(inputs)


def test_a_sudoku_of_several_solutions_is_solved_by_each() -> None:
    puzzle = Sudoku(4)
    board = np.full(16, BLANK, dtype=np.uint8)
    one, other = (puzzle.read(rows)["inputs"][0].astype(np.uint8) for rows in ("1234341221434321", "2143341212344321"))
    assert puzzle.solves(board, one)
    assert puzzle.solves(board, other)
    assert not puzzle.only_answer(board, one)
    assert not puzzle.solves(one, other), "a clue is changed"


def test_of_two_ways_around_either_solves_a_maze() -> None:
    """The longer one does not, nor both, nor a path with a gap or a cell beside it, nor one through
    a wall that the answer took down.
    """
    puzzle = Maze(7)
    board: U8 = puzzle.read(["#######", "#S....#", "#.###.#", "#.###.#", "#.###.#", "#....G#", "#######"])["inputs"][
        0
    ].astype(np.uint8)
    first, second = ([9, 10, 11, 12, 19, 26, 33], [15, 22, 29, 36, 37, 38, 39])

    def drawn(cells: list[int]) -> U8:
        answer = board.copy()
        answer[cells] = PATH
        return answer

    assert puzzle.solves(board, drawn(first))
    assert puzzle.solves(board, drawn(second))
    assert not puzzle.only_answer(board, drawn(first)), "there is another"
    assert not puzzle.solves(board, drawn(first + second))
    assert not puzzle.solves(board, drawn(first[:-1]))
    assert not puzzle.solves(board, drawn([*first[:-1], 36]))
    assert not puzzle.solves(board, drawn([*first, 16]))
    walled = drawn(first)
    walled[15] = WALL
    assert not puzzle.solves(board, walled), "floor has become wall"
    longer = board.copy()
    longer[16] = FLOOR  # nothing leads on from there
    assert puzzle.solves(longer, np.where(drawn(first) == PATH, PATH, longer).astype(np.uint8))
    detour = puzzle.read(["#######", "#S.G..#", "#.#.#.#", "#...#.#", "###.#.#", "#.....#", "#######"])["inputs"][
        0
    ].astype(np.uint8)
    around = detour.copy()
    around[[15, 22, 23, 24, 17]] = PATH
    assert not puzzle.solves(detour, around), "a way, and not the shortest"
