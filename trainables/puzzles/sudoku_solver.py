"""Sudoku's rules as bit patterns, a solver, and a generator of puzzles with one solution.

The solver counts solutions and guesses. A state is one integer with a bit for each digit and cell,
`digit * cells + cell`, that says whether the digit may still stand there. Every rule then reads
"exactly one of these bits", and a shift and a mask look at one bit of all rules of a kind at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np

from leadline.config import ConfigError
from trainables.puzzles.puzzle import U8

__all__ = [
    "BLANK",
    "DIGIT",
    "SUDOKU_BOXES",
    "Rules",
    "Solved",
    "full_grids",
    "generate",
    "propagated",
    "rules",
    "solve",
]

BLANK, DIGIT = 1, 1
"""The token of an open cell, and what is added to a digit from 1 on to make its token."""

SUDOKU_BOXES = {4: (2, 2), 6: (2, 3), 8: (2, 4), 9: (3, 3)}
"""The rows and columns of a box, by the side of the board."""

ATTEMPTS = 300
"""The number of grids that are tried for one puzzle of a given number of clues.

Then such a puzzle is called out of reach.
"""


class Kind(NamedTuple):
    """The rules of one kind: the bits `base` moved by each of `shifts`.

    `base * spread` are all bits of all of these rules.
    """

    shifts: tuple[int, ...]
    base: int
    spread: int


class State(NamedTuple):
    """The digits that may still stand, and those of them whose consequences are drawn.

    A state without candidates is a contradiction.
    """

    candidates: int
    fixed: int = 0


@dataclass(frozen=True)
class Rules:
    """The rules of one side.

    Attributes:
        size: side of the board.
        cells: number of cells of the board.
        kinds: one digit in each cell; each digit once in each row, column and box.
        keep: by bit, the candidates that remain when that digit stands in that cell.
    """

    size: int
    cells: int
    kinds: tuple[Kind, ...]
    keep: tuple[int, ...]

    @property
    def empty(self) -> State:
        """The state of the empty board."""
        return State((1 << self.size * self.cells) - 1)

    def place(self, state: State, bit: int) -> State:
        """Returns the state with one digit more."""
        return State(state.candidates & self.keep[bit], state.fixed | 1 << bit)

    def propagate(self, state: State) -> State:
        """Draws the consequences of naked and hidden singles, until there are no more."""
        candidates, fixed = state
        while True:
            singles = 0
            for shifts, base, spread in self.kinds:
                once = twice = 0
                for shift in shifts:
                    part = (candidates >> shift) & base
                    twice |= once & part
                    once |= part
                if once != base:
                    return State(0)
                singles |= (once ^ twice) * spread & candidates
            new = singles & ~fixed
            if not new:
                return State(candidates, fixed)
            fixed |= new
            for bit in _bits(new):
                candidates &= self.keep[bit]

    def choices(self, candidates: int) -> list[int]:
        """Returns the bits of a cell with the fewest candidates, but more than one.

        Of several such cells it takes the first.
        """
        shifts, base, _ = self.kinds[0]
        least = [base, *[0] * (self.size + 1)]  # least[n]: cells with n candidates or more
        for shift in shifts:
            part = (candidates >> shift) & base
            for count in range(self.size, 0, -1):
                least[count] |= least[count - 1] & part
        cells = next(least[n] & ~least[n + 1] for n in range(2, self.size + 1) if least[n] & ~least[n + 1])
        cell = (cells & -cells).bit_length() - 1
        return [cell + shift for shift in shifts if candidates >> (cell + shift) & 1]

    def given(self, tokens: Sequence[int]) -> State:
        """Returns the state of a puzzle, whose digits are given as tokens."""
        state = self.empty
        for cell, token in enumerate(tokens):
            if token != BLANK:
                state = self.place(state, (token - DIGIT - 1) * self.cells + cell)
        return state

    def tokens(self, candidates: int) -> U8:
        """Returns the digits of the cells with one candidate, the others blank: uint8 [cells]."""
        found = np.full(self.cells, BLANK, dtype=np.uint8)
        count = np.zeros(self.cells, dtype=np.uint8)
        for bit in _bits(candidates):
            digit, cell = divmod(bit, self.cells)
            found[cell] = digit + 1 + DIGIT
            count[cell] += 1
        found[count != 1] = BLANK
        return found


def _bits(number: int) -> Iterator[int]:
    """Yields the places of the bits that are set, lowest first."""
    while number:
        bit = number & -number
        yield bit.bit_length() - 1
        number ^= bit


def _sum(places: Sequence[int]) -> int:
    """Returns the integer whose bits at these places are set."""
    return sum(1 << place for place in places)


@cache
def rules(size: int) -> Rules:
    """Returns the rules of a side of SUDOKU_BOXES."""
    tall, wide = SUDOKU_BOXES[size]
    cells, side = size * size, range(size)
    layers = [digit * cells for digit in side]
    box = [row * size + column for row in range(tall) for column in range(wide)]
    corners = [row * size + column for row in range(0, size, tall) for column in range(0, size, wide)]
    kinds = [(layers, list(range(cells)))] + [
        (members, [layer + first for layer in layers for first in firsts])
        for members, firsts in (
            (list(side), [row * size for row in side]),
            ([row * size for row in side], list(side)),
            (box, corners),
        )
    ]
    made = tuple(Kind(tuple(members), _sum(firsts), _sum(members)) for members, firsts in kinds)
    full = (1 << size * cells) - 1
    cleared = [0] * (size * cells)
    for shifts, firsts in kinds:
        for first in firsts:
            rule = _sum([first + shift for shift in shifts])
            for shift in shifts:
                cleared[first + shift] |= rule
    return Rules(size, cells, made, tuple(full & ~(rule & ~(1 << bit)) for bit, rule in enumerate(cleared)))


class Solved(NamedTuple):
    """The solutions found, uint8 [cells] each, and the number of guesses.

    A guess is a digit that was tried where more than one was possible.
    """

    solutions: list[U8]
    guesses: int


Order = Callable[[list[int]], list[int]]


def _search(own: Rules, state: State, limit: int, order: Order | None = None) -> tuple[list[int], int]:
    """Searches depth first; returns candidates of up to `limit` solutions, and the guesses made."""
    stack, found, tried = [state], list[int](), 0
    while stack and len(found) < limit:
        tried += 1
        state = own.propagate(stack.pop())
        if state.candidates.bit_count() == own.cells:
            found.append(state.candidates)
        elif state.candidates:
            bits = own.choices(state.candidates)
            stack.extend(own.place(state, bit) for bit in (order(bits) if order else bits))
    return found, tried - 1


def solve(puzzle: U8, size: int, limit: int = 2) -> Solved:
    """Finds up to `limit` solutions of a puzzle, uint8 [cells].

    It uses singles, and guesses at a cell with the fewest candidates. With one solution and limit 2
    the guesses are those of the whole search, which proves that there is no other: the difficulty
    of the puzzle. It is 0 exactly if naked and hidden singles alone solve it.
    """
    own = rules(size)
    found, guesses = _search(own, own.given(puzzle.tolist()), limit)
    return Solved([own.tokens(solution) for solution in found], guesses)


def propagated(puzzle: U8, size: int) -> U8:
    """Returns what naked and hidden singles alone fill in, uint8 [cells].

    If they contradict each other, it is the puzzle itself.
    """
    own = rules(size)
    state = own.propagate(own.given(puzzle.tolist()))
    return own.tokens(state.candidates) if state.candidates else puzzle


def full_grids(size: int, limit: int) -> U8:
    """Returns the first `limit` full grids, uint8 [grids, cells]: all 288 at side 4."""
    own = rules(size)
    return np.stack([own.tokens(grid) for grid in _search(own, own.empty, limit)[0]])


def _random_grid(size: int, generator: np.random.Generator) -> U8:
    """Draws a full grid, uint8 [cells], by a search that tries digits in random order."""
    own = rules(size)
    found, _ = _search(own, own.empty, 1, lambda bits: generator.permutation(bits).tolist())
    return own.tokens(found[0])


def _dig(grid: U8, size: int, clues: int, order: Sequence[int]) -> U8:
    """Opens cells in this order while the solution stays the only one.

    It stops as soon as only `clues` digits are left.
    """
    own = rules(size)
    tokens, left = grid.tolist(), own.cells
    for cell in order:
        if left == clues:
            break
        token = tokens[cell]
        tokens[cell] = BLANK
        candidates, fixed = own.given(tokens)
        # Without the removed digit in this cell, a solution would be a second one.
        other = State(candidates & ~(1 << (token - DIGIT - 1) * own.cells + cell), fixed)
        if _search(own, other, 1)[0]:
            tokens[cell] = token
        else:
            left -= 1
    return np.array(tokens, dtype=np.uint8)


def generate(size: int, clues: int, generator: np.random.Generator) -> tuple[U8, U8]:
    """Draws a puzzle with one solution, and that solution: uint8 [cells] each.

    Args:
        size: side of the board.
        clues: given digits; 0: none to spare (each is needed for the solution to be the only one).
        generator: draws the grid and the order in which its cells are opened.

    Raises:
        ConfigError: if no puzzle of so few clues was found in 300 grids.
    """
    fewest = size * size
    for _ in range(ATTEMPTS):
        grid = _random_grid(size, generator)
        puzzle = _dig(grid, size, clues, generator.permutation(size * size).tolist())
        left = int((puzzle != BLANK).sum())
        if left == clues or not clues:
            return puzzle, grid
        fewest = min(fewest, left)
    tried = f"{ATTEMPTS} grids of side {size} gave no puzzle of {clues}"
    raise ConfigError(f"clues: {tried}; {fewest} was the fewest, and 0 takes what comes")
