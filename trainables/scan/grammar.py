"""SCAN's commands, all 20,910, as words and as token ids.

The grammar is that of Lake and Baroni 2018 (figures 6 and 7), which makes the published files of
github brendenlake/SCAN (c4b756c): a verb phrase is `walk`, or a verb or `turn` with a side, which
may say `opposite` or `around`; a sentence repeats a verb phrase up to three times; a command is a
sentence, or two joined by `and` or `after`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt

from leadline.config import ConfigError, did_you_mean

__all__ = ["ACTIONS", "CONJUNCTIONS", "COUNTS", "END", "MANNERS", "PAD", "SENTENCES", "SIDES", "SPECIALS", "START"]
__all__ += ["TURN", "UNK", "VERBS", "WORDS", "actions", "commands", "joins", "number", "read", "tokens"]

I8 = npt.NDArray[np.int8]
I64 = npt.NDArray[np.int64]

VERBS: Final = ("walk", "look", "run", "jump")
TURN: Final = "turn"
SIDES: Final = ("left", "right")
MANNERS: Final = ("opposite", "around")
COUNTS: Final = ("twice", "thrice")
CONJUNCTIONS: Final = ("and", "after")
WORDS: Final = (*VERBS, TURN, *SIDES, *MANNERS, *COUNTS, *CONJUNCTIONS)
"""The 13 words of commands."""
ACTIONS: Final = ("I_WALK", "I_LOOK", "I_RUN", "I_JUMP", "I_TURN_LEFT", "I_TURN_RIGHT")
"""The six actions of answers."""

SPECIALS: Final = ("PAD", "START", "END", "UNK")
PAD, START, END, UNK = range(4)
"""Token ids below those of words and of actions, which both begin at 4, as in the log."""

LONGEST_COMMAND = 9  # words: two sentences of four, joined by one


def _sentences() -> tuple[tuple[str, ...], ...]:
    phrases: list[tuple[str, ...]] = [(verb,) for verb in VERBS]
    for verb in (*VERBS, TURN):
        for side in SIDES:
            phrases += [(verb, side), *((verb, manner, side) for manner in MANNERS)]
    return tuple(phrase + count for phrase in phrases for count in ((), *((word,) for word in COUNTS)))


SENTENCES: Final = _sentences()
"""The 102 sentences: 34 verb phrases, each alone, twice and thrice."""


@cache
def joins() -> I64:
    """Returns how each command is made, int64 [commands, 3].

    The columns are 0 for one sentence, 1 for `and`, 2 for `after`; the number of the first
    sentence; the number of the second, or -1.
    """
    alone = [(0, first, -1) for first in range(len(SENTENCES))]
    numbers = range(len(SENTENCES))
    joined = [(word, *pair) for word in (1, 2) for pair in itertools.product(numbers, numbers)]
    found = np.array(alone + joined, dtype=np.int64)
    found.flags.writeable = False
    return found


@cache
def commands() -> tuple[tuple[str, ...], ...]:
    """Returns the words of all commands: single sentences, then those with `and`, then `after`."""
    joined = ((a, word, b) for word in CONJUNCTIONS for a in SENTENCES for b in SENTENCES)
    return (*SENTENCES, *((*a, word, *b) for a, word, b in joined))


@cache
def tokens() -> I8:
    """Returns the token ids of all commands, int8 [commands, 9], with PAD at the end."""
    ids = {word: len(SPECIALS) + place for place, word in enumerate(WORDS)}
    found = np.full((len(commands()), LONGEST_COMMAND), PAD, dtype=np.int8)
    for row, command in zip(found, commands(), strict=True):
        row[: len(command)] = [ids[word] for word in command]
    found.flags.writeable = False
    return found


@cache
def _numbers() -> dict[tuple[str, ...], int]:
    return {command: place for place, command in enumerate(commands())}


def read(command: str | Sequence[str]) -> tuple[str, ...]:
    """Returns the words of a command.

    Args:
        command: a text, or its words.

    Raises:
        ConfigError: beginning with `command`, if a word is not one of SCAN's, or the grammar does
            not make the command.
    """
    words = tuple(command.split() if isinstance(command, str) else command)
    for word in words:
        if word not in WORDS:
            near = did_you_mean(str(word), WORDS) or f"there are {', '.join(WORDS)}"
            raise ConfigError(f"command: no word {word!r}; {near}")
    if words not in _numbers():
        raise ConfigError(
            f"command: the grammar does not make {' '.join(words)!r}; it makes, for example, "
            "'turn left', 'jump around right twice' or 'walk after look opposite left thrice'"
        )
    return words


def number(command: str | Sequence[str]) -> int:
    """Returns the place of a command among `commands()`.

    Raises:
        ConfigError: as `read`.
    """
    return _numbers()[read(command)]


def actions(row: Iterable[int]) -> tuple[str, ...]:
    """Returns the actions of a row of token ids, up to its END or first PAD."""
    ids = itertools.takewhile(lambda token: token not in (END, PAD), (int(token) for token in row))
    return tuple((*SPECIALS, *ACTIONS)[token] for token in ids)
