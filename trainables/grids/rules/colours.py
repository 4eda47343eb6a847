"""Rules of colours: which stands for which, which stays, which is the most frequent."""

from __future__ import annotations

from functools import partial
from typing import Final

import numpy as np
import numpy.typing as npt

from trainables.grids.rules.rule import BACKGROUND, COLOURS, Grid, Rule
from trainables.grids.rules.scenes import colourful, noise, ranked_colours, rows_with_majority

__all__ = ["COLOURING", "PERMUTATIONS"]

PERMUTATIONS: Final = 40
"""The number of rules `recolour 0`, `recolour 1`, ..."""
SEED = 2019  # of the permutations; the year of ARC, and as good as any
PAINTS = range(1, COLOURS)


def _table(changes: dict[int, int]) -> npt.NDArray[np.uint8]:
    """Returns the new colour of each, uint8 [10]."""
    return np.array([changes.get(colour, colour) for colour in range(COLOURS)], dtype=np.uint8)


def _permutations() -> tuple[npt.NDArray[np.uint8], ...]:
    """Draws permutations of the colours 1 to 9 that leave at most two of them in place."""
    generator = np.random.default_rng(SEED)
    found: dict[bytes, npt.NDArray[np.uint8]] = {}
    while len(found) < PERMUTATIONS:
        table = np.zeros(COLOURS, dtype=np.uint8)
        table[1:] = generator.permutation(COLOURS - 1) + 1
        if np.count_nonzero(table == np.arange(COLOURS)) <= 3:  # the background is one of them
            found.setdefault(table.tobytes(), table)
    return tuple(found.values())


def _recoloured(grid: Grid, *, table: npt.NDArray[np.uint8]) -> Grid:
    """Looks each cell's new colour up."""
    return table[grid]


def _has(grid: Grid, *, colours: tuple[int, ...]) -> bool:
    """Tells whether a grid has all of some colours."""
    cells = grid.tobytes()
    return all(colour in cells for colour in colours)


def _few(grid: Grid, *, count: int) -> bool:
    """Tells whether a grid has just so many colours, background aside."""
    return len(set(grid.tobytes()) - {BACKGROUND}) == count


def _inverted(grid: Grid, *, count: int) -> Grid:
    """Exchanges the two colours of a grid: its only two, or for a count of 1 one and background.

    Grids with another number of colours stay as they are.
    """
    colours = sorted(set(grid.tobytes()) - {BACKGROUND})
    if len(colours) != count:
        return grid.copy()
    one, other = colours if count == 2 else (BACKGROUND, colours[0])
    return _table({one: other, other: one})[grid]


def _frequent(grid: Grid, least: bool) -> int:
    """Returns the most or the least frequent colour, background aside; of equals the smallest."""
    cells = grid.tobytes()
    counts = {colour: cells.count(colour) for colour in PAINTS if colour in cells}
    return (min if least else max)(counts, key=counts.__getitem__, default=BACKGROUND)


def _filled_by_frequency(grid: Grid, *, least: bool) -> Grid:
    """Fills the grid with one of its colours."""
    return np.full_like(grid, _frequent(grid, least))


def _kept_by_frequency(grid: Grid, *, least: bool, kept: bool) -> Grid:
    """Keeps or removes one of a grid's colours."""
    return np.where((grid == _frequent(grid, least)) == kept, grid, np.uint8(BACKGROUND))


def _checkered(grid: Grid, *, colour: int) -> Grid:
    """Paints every second cell, that right of the first corner among them."""
    answer = grid.copy()
    answer[::2, 1::2] = answer[1::2, ::2] = colour
    return answer


def _majority(grid: Grid, *, axis: int) -> Grid:
    """Fills rows, or for axis 0 columns, with the most frequent colour of each."""
    lines = grid if axis == 1 else grid.T
    row = np.array([[_frequent(line, least=False)] for line in lines], dtype=np.uint8)
    answer = row.repeat(lines.shape[1], axis=1)
    return answer if axis == 1 else np.ascontiguousarray(answer.T)


def _named(family: str, name: str, changes: dict[int, int], *needed: int) -> Rule:
    """Makes a rule of a table of colours, whose inputs have those that are needed."""
    # Of few colours the named one would often be the most frequent, and another rule would do.
    scene = partial(noise, colours=needed, paints=(4, 9))
    return Rule(family, name, partial(_recoloured, table=_table(changes)), scene, partial(_has, colours=needed))


def _behind(colour: int, by: int) -> int:
    """Returns the colour that comes some places after another; 1 follows 9."""
    return (colour + by - 1) % (COLOURS - 1) + 1


_PAIRS = [(colour, _behind(colour, by)) for by in (1, 4) for colour in PAINTS]

COLOURING: Final = (
    *(
        Rule("recolour", f"recolour {number}", partial(_recoloured, table=table), colourful)
        for number, table in enumerate(_permutations())
    ),
    *(_named("replace", f"replace {one} by {other}", {one: other}, one) for one, other in _PAIRS),
    *(_named("swap", f"swap {min(pair)} and {max(pair)}", dict([pair, pair[::-1]]), *pair) for pair in _PAIRS),
    *(_named("background", f"background {colour}", {0: colour}) for colour in PAINTS),
    *(_named("keep", f"keep {colour}", dict.fromkeys(set(PAINTS) - {colour}, 0), colour) for colour in PAINTS),
    *(_named("remove", f"remove {colour}", {colour: 0}, colour) for colour in PAINTS),
    Rule(
        "invert",
        "invert two colours",
        partial(_inverted, count=2),
        partial(noise, paints=(2, 3), density=(0.5, 1.0)),
        partial(_few, count=2),
    ),
    Rule(
        "invert",
        "invert colour and background",
        partial(_inverted, count=1),
        partial(noise, paints=(1, 1)),
    ),
    *(
        Rule(
            "frequency",
            f"{word} frequent colour fills the grid",
            partial(_filled_by_frequency, least=word == "least"),
            partial(noise, paints=(2, 4)),
            partial(ranked_colours, least=word == "least"),
        )
        for word in ("most", "least")
    ),
    *(
        Rule(
            "keep by frequency",
            f"{action} the {word} frequent colour",
            partial(_kept_by_frequency, least=word == "least", kept=action == "keep"),
            partial(noise, paints=(2, 4)),
            partial(ranked_colours, least=word == "least"),
        )
        for action in ("keep", "remove")
        for word in ("most", "least")
    ),
    *(
        Rule("checkerboard", f"checkerboard {colour}", partial(_checkered, colour=colour), noise)
        for colour in (0, *PAINTS)
    ),
    Rule("majority", "majority by row", partial(_majority, axis=1), partial(rows_with_majority, axis=1)),
    Rule("majority", "majority by column", partial(_majority, axis=0), partial(rows_with_majority, axis=0)),
)
"""Rules by which cells keep their places and change their colours."""
