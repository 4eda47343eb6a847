"""Predictors without a trained parameter, and the interpreter as the oracle.

Each takes rows, places of rules and of commands, int64 [rows] both, and returns answers as token
ids, int8 [rows, positions]: actions, END, PAD.
"""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt

from trainables.scan.data import ScanData
from trainables.scan.grammar import ACTIONS, END, PAD, SPECIALS, WORDS, commands, tokens
from trainables.scan.interpreter import interpret

__all__ = ["interpreted", "most_frequent", "nearest", "nearest_commands", "unmodified"]

I8 = npt.NDArray[np.int8]
I64 = npt.NDArray[np.int64]
F32 = npt.NDArray[np.float32]

_IDS: Final = {action: len(SPECIALS) + place for place, action in enumerate(ACTIONS)}
_MARKS = len(WORDS) + 1  # words, and the command's beginning or end
_CHUNK = 1024  # rows whose likeness to all training commands is held at once: 60 MB


def most_frequent(data: ScanData, rules: I64, chosen: I64) -> I8:
    """Returns for every row the commonest answer of the training rows, by the base rule.

    Of several, it is the one that is first by its token ids.
    """
    known = np.unique(data.train, return_counts=True)
    answers, ids = np.unique(data.answers(0, known[0]), axis=0, return_inverse=True)
    commonest = answers[np.bincount(ids.reshape(-1), known[1]).argmax()]
    return np.tile(commonest, (len(chosen), 1))


def unmodified(data: ScanData, rules: I64, chosen: I64) -> I8:
    """Returns the base rule's answer to every row."""
    return data.answers(0, chosen)


def interpreted(data: ScanData, rules: I64, chosen: I64) -> I8:
    """Returns the interpreter's answers, worked out from the words: the oracle."""
    known = commands()
    found = [interpret(known[command], data.rules[rule]) for rule, command in zip(rules, chosen, strict=True)]
    rows = np.full((len(found), 1 + max(map(len, found), default=0)), PAD, dtype=np.int8)
    for row, answer in zip(rows, found, strict=True):
        row[: len(answer)] = [_IDS[action] for action in answer]
        row[len(answer)] = END
    return rows


def nearest(data: ScanData, rules: I64, chosen: I64) -> I8:
    """Returns the answer to the nearest training command, see `nearest_commands`.

    It is that under the row's rule where this pair is trained, else that under the base rule.
    """
    near = nearest_commands(data.train, chosen)
    return data.answers(np.where(data.tasks.trained[rules, near], rules, 0), near)


def nearest_commands(train: I64, chosen: I64) -> I64:
    """Returns the training command that is most like each command, int64 [rows].

    Likeness is that of Dice 1945 between their pairs of neighbouring words, beginning and end
    included: twice the pairs in common over the sum of both counts. Of several, it is the command
    itself, where it is trained on, else the first.
    """
    known = np.unique(train)
    wanted, back = np.unique(chosen, return_inverse=True)
    features = _neighbours()
    sizes = features.sum(1)
    best = [
        (features[part] @ features[known].T / (sizes[part, None] + sizes[known])).argmax(1)
        for part in np.split(wanted, range(_CHUNK, len(wanted), _CHUNK))
    ]
    near = np.where(np.isin(wanted, known), wanted, known[np.concatenate(best)])
    return np.asarray(near[back.reshape(-1)])


@cache
def _neighbours() -> F32:
    """Returns which pairs of words stand next to each other, 0 or 1, float32 [commands, pairs].

    A pair that stands twice in a command has a second column; none stands three times.
    """
    words = np.maximum(tokens().astype(np.int64) - len(SPECIALS) + 1, 0)
    words = np.pad(words, ((0, 0), (1, 1)))
    pairs = words[:, :-1] * _MARKS + words[:, 1:]
    places = np.arange(pairs.shape[1])
    again = ((pairs[:, :, None] == pairs[:, None]) & (places < places[:, None])).any(2)
    found = np.zeros((len(words), 2, _MARKS * _MARKS), dtype=np.float32)
    found[np.arange(len(words))[:, None], again.astype(np.int64), pairs] = 1
    found[:, :, 0] = 0  # two marks are padding
    columns = found.reshape(len(words), -1)
    return columns[:, columns.any(0)]
