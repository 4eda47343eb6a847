"""The published splits by their rules, and the log's own.

Names and members are those of the 209 files of github brendenlake/SCAN (c4b756c). Where a file's
members were drawn at random, a split drawn here has the same rule and the same number of rows but
other members; a seed stands for the files' repetitions.

`pooled` is the log's (scan_data_loader.py of github fergusmeiklejohn/neural_networks_research,
bb56941): the rows of simple, length and addprim_jump in one pool, in which every command
stands at least three times, cut at random. The audit refuses it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from leadline.config import ConfigError, did_you_mean
from trainables.scan.grammar import TURN, VERBS, commands, number
from trainables.scan.interpreter import interpret

__all__ = ["NAMES", "POOLED", "Parts", "answer_lengths", "make", "published"]

I64 = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

POOLED: Final = "pooled"
LONGEST_TRAINED = 22  # actions, in the split by length
VALIDATION_SHARE = 0.1  # of the distinct training commands that are trained on once
TRAIN_SHARE, POOLED_VALIDATION_SHARE = 0.7, 0.15  # of the log
PERCENT = (1, 2, 4, 8, 16, 32, 64)
COMPLEX = (1, 2, 4, 8, 16, 32)
SHOTS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
TEMPLATES = ("around right", "opposite right", "right")
FILLERS = ("look", "walk", "run")

# The sets of words that Python's random.seed(42) and shuffle put first among the 100 that occur, in
# the order in which the log's code meets them.
POOLED_HELD: Final = (
    "jump",
    "jump look",
    "jump run",
    "left look right",
    "left run walk",
    "left right run walk",
    "look right run",
    "right run walk",
    "around look right walk",
    "around left right run walk",
)
POOLED_WORDS: Final = frozenset((*VERBS, TURN, "left", "right", "around"))


class Parts(NamedTuple):
    """Rows of a split, as places in `trainables.scan.grammar.commands()`; repeats are rows.

    Attributes:
        train: int64 [rows], validation taken out.
        validation: int64 [rows].
        test: int64 [rows].
        held: int64 [rows], what the log called its test of unseen primitives; else none.
    """

    train: I64
    validation: I64
    test: I64
    held: I64 = np.zeros(0, dtype=np.int64)


@cache
def answer_lengths() -> I64:
    """Returns the number of actions of every command's answer, int64 [commands]."""
    return np.array([len(interpret(command)) for command in commands()], dtype=np.int64)


@cache
def _says(words: str) -> Mask:
    """Tells which commands contain words, next to each other and in that order."""
    return np.array([f" {words} " in f" {' '.join(command)} " for command in commands()])


def _rows(mask: Mask) -> I64:
    return np.flatnonzero(mask).astype(np.int64)


def _drawn(share: float, seed: int) -> tuple[I64, I64]:
    """Cuts all commands at random: the split `simple` and its sizes."""
    order = np.random.default_rng([seed, 0]).permutation(len(commands()))
    size = int(share * len(order))
    return np.sort(order[:size]), np.sort(order[size:])


def _length() -> tuple[I64, I64]:
    long = answer_lengths() > LONGEST_TRAINED
    return _rows(~long), _rows(long)


def _primitive(words: str) -> tuple[I64, I64]:
    """Holds out all commands with words but the words alone, repeated to a tenth of the rows."""
    told, alone = _says(words), number(words)
    others = _rows(~told)
    repeats = round(len(others) / 9)
    test = _rows(told)
    return np.concatenate([others, np.full(repeats, alone)]), test[test != alone]


def _complex_jump(count: int, seed: int) -> tuple[I64, I64]:
    """Trains on `count` more commands with "jump": these and "jump" share its repeats."""
    train, test = _primitive("jump")
    once = train[train != number("jump")]
    chosen = np.sort(np.random.default_rng([seed, count]).permutation(test)[:count])
    repeats = round((len(train) - len(once)) / (count + 1))
    known = np.repeat(np.append(chosen, number("jump")), repeats)
    return np.concatenate([once, known]), np.setdiff1d(test, chosen, assume_unique=True)


def _template(words: str) -> tuple[I64, I64]:
    """Tests a verb with words, and drops what says `turn` with them."""
    test = np.any([_says(f"{verb} {words}") for verb in VERBS], axis=0) & ~_says(f"turn {words}")
    return _rows(~test & ~_says(f"turn {words}")), _rows(test)


def _filler(count: int) -> tuple[I64, I64]:
    """Tests "jump around right"; `count` other verbs are trained with "around right"."""
    test = _says("jump around right")
    dropped = np.any([_says(f"{verb} around right") for verb in (TURN, *FILLERS[count:])], axis=0)
    return _rows(~test & ~dropped), _rows(test & ~_says("turn around right"))


def _few_shot(count: int, seed: int) -> tuple[I64, I64]:
    """Trains on `count` commands with "look around right" and no other verb with "around right".

    The published repetitions of 32 and 64 have up to four fewer, as if drawn with repetition.
    """
    none, test = _filler(0)
    more = np.setdiff1d(_filler(1)[0], none, assume_unique=True)
    chosen = np.random.default_rng([seed, count]).permutation(more)[:count]
    return np.sort(np.concatenate([none, chosen])), test


_DRAWN: Final[dict[str, Callable[[int], tuple[I64, I64]]]] = {
    "simple": partial(_drawn, 0.8),
    **{f"simple_p{size}": partial(_drawn, size / 100) for size in PERCENT},
    **{f"addprim_complex_jump_num{count}": partial(_complex_jump, count) for count in COMPLEX},
    **{f"fewshot_num{count}": partial(_few_shot, count) for count in SHOTS},
}
_RULED: Final[dict[str, Callable[[], tuple[I64, I64]]]] = {
    "length": _length,
    "addprim_jump": partial(_primitive, "jump"),
    "addprim_turn_left": partial(_primitive, "turn left"),
    **{f"template_{words.replace(' ', '_')}": partial(_template, words) for words in TEMPLATES},
    "template_jump_around_right": partial(_filler, 3),
    **{f"filler_num{count}": partial(_filler, count) for count in range(4)},
}

NAMES: Final = (*_DRAWN, *_RULED, POOLED)
"""The names of all splits."""


def published(name: str, seed: int = 0) -> tuple[I64, I64]:
    """Returns the training and test rows of a published split, validation not yet taken out.

    Raises:
        ConfigError: beginning with `split`, for a name that is none.
    """
    if name in _RULED:
        return _RULED[name]()
    if name not in _DRAWN:
        near = did_you_mean(name, NAMES) or f"there are {', '.join(NAMES)}"
        raise ConfigError(f"split: no split {name!r}; {near}")
    return _DRAWN[name](seed)


def make(name: str, seed: int = 0) -> Parts:
    """Returns the rows of a split.

    Validation is a tenth of the distinct training commands, drawn by the seed among those that are
    trained on once: "jump", which addprim_jump repeats, stays in training. No command is in two
    parts, but for the log's `pooled`.

    Args:
        name: one of `NAMES`.
        seed: of validation, and of the members where the published ones were drawn at random.

    Raises:
        ConfigError: beginning with `split`, for a name that is none.
    """
    if name == POOLED:
        return _pooled(seed)
    train, test = published(name, seed)
    known, times = np.unique(train, return_counts=True)
    generator = np.random.default_rng([seed, 1])
    size = max(1, round(VALIDATION_SHARE * len(known)))
    validation = np.sort(generator.permutation(known[times == 1])[:size])
    return Parts(train[~np.isin(train, validation)], validation, test)


def _pooled(seed: int) -> Parts:
    """Returns the log's split: 39,708, 8,509, 8,510 and 7,469 rows.

    The log's own members cannot be had again: its code walks a set of texts before it shuffles, and
    Python orders such a set anew in each process. The ten held sets do not depend on that.
    """
    parts = [published(name, seed) for name in ("simple", "length", "addprim_jump")]
    pool = np.concatenate([rows for part in parts for rows in part])
    held_sets = {frozenset(words.split()) for words in POOLED_HELD}
    held = np.array([POOLED_WORDS.intersection(command) in held_sets for command in commands()])[pool]
    rest = np.random.default_rng([seed, 2]).permutation(pool[~held])
    ends = np.cumsum([int(TRAIN_SHARE * len(rest)), int(POOLED_VALIDATION_SHARE * len(rest))])
    train, validation, test = np.split(rest, ends)
    return Parts(train, validation, test, pool[held])
