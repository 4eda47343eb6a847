"""Checks that every rule does what it says: the log's pairs of a rule and an answer did not.

Of its 1,100 pairs 200 tell of a rule and train the unchanged answer, and its two-way swaps, done by
one replacement of text after the other, turn both words into one. Single sentences are checked, all
of them under all rules; the answers to joined commands are joined from theirs.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from leadline.finding import Finding
from trainables.scan.data import ScanData
from trainables.scan.grammar import SENTENCES
from trainables.scan.interpreter import interpret

__all__ = ["collapsed_swaps", "unchanged_targets"]

SHOWN = 3  # rules that a sentence names


def _stored(data: ScanData, rule: int) -> npt.NDArray[np.int8]:
    """Returns the stored answers to all sentences under a rule, padded alike for all rules."""
    found = data.answers(rule, np.arange(len(SENTENCES)))
    return np.pad(found, ((0, 0), (0, 1 + data.answers.longest - found.shape[1])))


def _finding(guard: str, counts: dict[str, int], of: int, what: str) -> Finding:
    total = sum(counts.values())
    worst = sorted(counts, key=lambda name: -counts[name])[:SHOWN]
    named = ", ".join(f"{name} ({counts[name]})" for name in worst if counts[name])
    return Finding(guard, total > 0, total, f"{total} of {of} {what}" + (f": {named}." if named else "."))


def unchanged_targets(data: ScanData) -> Finding:
    """Counts the sentences that a rule changes, and whose answer under it is the unchanged one."""
    base, counts, of = _stored(data, 0), dict[str, int](), 0
    for place, name in enumerate(data.names):
        told = np.array([interpret(words, data.rules[place]) != interpret(words) for words in SENTENCES])
        counts[name] = int((told & (_stored(data, place) == base).all(1)).sum())
        of += int(told.sum())
    return _finding("unchanged_targets", counts, of, "sentences that a rule changes have the unchanged answer")


def collapsed_swaps(data: ScanData) -> Finding:
    """Counts the sentences in which a two-way swap does not exchange its two words.

    Under such a swap a sentence has the answer that the base rule gives to the sentence with the
    words exchanged, where that is one.
    """
    base, counts, of = _stored(data, 0), dict[str, int](), 0
    places = {words: place for place, words in enumerate(SENTENCES)}
    for place, name in enumerate(data.names):
        if len(data.rules[place]) != 1 or "<->" not in name:
            continue
        one, other = data.rules[place][0].words
        exchange = {one: other, other: one}
        swapped = [places.get(tuple(exchange.get(word, word) for word in words), -1) for words in SENTENCES]
        both = np.array([i for i, words in enumerate(SENTENCES) if swapped[i] >= 0 and exchange.keys() & set(words)])
        counts[name] = int((_stored(data, place)[both] != base[np.array(swapped)[both]]).any(1).sum())
        of += len(both)
    return _finding("collapsed_swaps", counts, of, "sentences under a two-way swap do not exchange its words")
