"""The commands, their answers under every rule, and what is trained and scored.

Answers are kept by sentence, of which there are 102, and joined when rows are asked for: all of
them, 62 rules times 20,910 commands, would take 150 MB.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from trainables.scan.grammar import ACTIONS, END, PAD, SENTENCES, SPECIALS, joins, tokens
from trainables.scan.interpreter import lexicon, sentence
from trainables.scan.rule_split import RuleTasks, rule_tasks
from trainables.scan.rules import BASE, DEFAULT, MOST, Combination, combination, group, pairs, token
from trainables.scan.splits import Parts, make

__all__ = ["HELD_OUT", "Answers", "ScanData", "build"]

I8 = npt.NDArray[np.int8]
I64 = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

HELD_OUT: Final = "held_out"
"""The group of rules that are never trained: pairs whose parts are."""


class Answers:
    """The answers to all commands under some rules, exact.

    Attributes:
        lengths: int64 [rules, commands], actions of an answer, its END not counted.
        longest: the most actions of any answer.
    """

    def __init__(self, rules: Sequence[Combination]) -> None:
        ids = {action: len(SPECIALS) + place for place, action in enumerate(ACTIONS)}
        said = [[sentence(words, known) for words in SENTENCES] for known in map(lexicon, rules)]
        size = max(len(answer) for row in said for answer in row)
        # One place more than the longest needs: its PAD is what lies past an answer's end.
        table = np.full((len(rules), len(SENTENCES), size + 1), PAD, dtype=np.int8)
        for rule, row in enumerate(said):
            for place, answer in enumerate(row):
                table[rule, place, : len(answer)] = [ids[action] for action in answer]
        self._table = table
        self._flat = table.reshape(-1)
        self._size = size + 1
        counts = np.array([[len(answer) for answer in row] for row in said], dtype=np.int64)
        self._counts = np.concatenate([counts, np.zeros((len(rules), 1), dtype=np.int64)], 1)  # place -1: no sentence
        join, first, second = joins().T
        after = join == 2
        self._first, self._second = np.where(after, second, first), np.where(after, first, second)
        self.lengths: I64 = self._counts[:, self._first] + self._counts[:, self._second]
        self.longest = int(self.lengths.max())

    def __call__(self, rules: int | I64, commands: I64) -> I8:
        """Returns the answers of rows, int8 [rows, positions]: actions, END, then PAD.

        Args:
            rules: places of the rules, one for all rows or int64 [rows].
            commands: int64 [rows], places of the commands.

        Returns:
            As many positions as the longest of these answers needs.
        """
        rule = np.broadcast_to(np.asarray(rules, dtype=np.int64), np.shape(commands))
        first, second = self._first[commands], self._second[commands]
        length, total = self._counts[rule, first][:, None], self.lengths[rule, commands][:, None]
        place = np.arange(1 + (int(total.max()) if len(total) else 0))
        start = rule * len(SENTENCES) * self._size
        begun = (start + first * self._size)[:, None] + place
        joined = (start + np.maximum(second, 0) * self._size)[:, None] + (place - length)
        index = np.where(place < length, begun, joined)
        found: I8 = self._flat[np.where(place < total, index, self._size - 1)]
        found[place[None] == total] = END
        return found

    def changed(self, rule: int, other: int = 0) -> Mask:
        """Tells which answers under a rule are not those under another one, bool [commands]."""
        differs = np.append((self._table[rule] != self._table[other]).any(1), False)
        found: Mask = differs[self._first] | differs[self._second]
        # Two other sentences may make the same answer: a longer and a shorter one.
        counts = self._counts[[other, rule]][:, self._first]
        shifted = np.flatnonzero((counts[0] != counts[1]) & (self.lengths[other] == self.lengths[rule]))
        if len(shifted):
            found[shifted] = (self(rule, shifted) != self(other, shifted)).any(1)
        return found


def _changed(answers: Answers, rules: Sequence[Combination]) -> Mask:
    """Where the answer under a rule is neither the base rule's nor that of one of its parts alone.

    Most commands that a pair changes are changed by one of its rules: a network that ignores the
    other would answer them.

    Returns:
        bool [rules, commands]; a part that is not among the rules is not compared with.
    """
    places = {rule[0].name: place for place, rule in enumerate(rules) if len(rule) == 1}
    found = [answers.changed(place) for place in range(len(rules))]
    for place, rule in enumerate(rules):
        for alone in (places.get(part.name) for part in rule if len(rule) > 1):
            if alone is not None:
                found[place] = found[place] & answers.changed(place, alone)
    return np.array(found)


@dataclass(frozen=True)
class ScanData:
    """What a trial samples from and is scored on.

    Commands and rules are numbered: places among `trainables.scan.grammar.commands()` and `names`.

    Attributes:
        split: the name of the split.
        commands: int8 [20910, 9], token ids with PAD at the end.
        answers: `answers(rules, commands)` are rows of token ids, `answers.lengths` their lengths.
        names: the rules by name, the first of them `base`.
        rules: what they change.
        rule_tokens: int8 [rules, 2], the ids of a combination's parts, 0 where there is none.
        groups: by rule, base, simple, complex, novel or held_out.
        changed: bool [rules, 20910], where a rule's answer is not the base rule's, nor, under two
            rules, that of one of them alone.
        parts: the rows of commands.
        tasks: which rules are trained on which commands, and what stays unseen.
    """

    split: str
    commands: I8
    answers: Answers
    names: tuple[str, ...]
    rules: tuple[Combination, ...]
    rule_tokens: I8
    groups: tuple[str, ...]
    changed: Mask
    parts: Parts
    tasks: RuleTasks

    @property
    def train(self) -> I64:
        """The training rows: places of commands, repeats included."""
        return self.parts.train

    @property
    def validation(self) -> I64:
        """The validation rows: places of commands."""
        return self.parts.validation

    @property
    def test(self) -> I64:
        """The test rows: places of commands."""
        return self.parts.test


def build(
    split: str = "simple",
    seed: int = 0,
    names: Sequence[str] | None = None,
    cells: Sequence[tuple[str, str]] = (),
) -> ScanData:
    """Builds the data of a split.

    Args:
        split: one of `trainables.scan.splits.NAMES`.
        seed: of what is drawn: validation, random splits, and what rules are not trained on.
        names: the rules beside `base`, pairs among them; the log's eleven and all their pairs where
            none are given.
        cells: a rule and a word with which it is never trained, for each cell that is held out.

    Raises:
        ConfigError: beginning with `split`, `rules` or `cells`, for one that is none.
    """
    known = (BASE, *((*DEFAULT, *pairs(DEFAULT)) if names is None else names))
    rules = tuple(map(combination, known))
    parts = make(split, seed)
    tasks = rule_tasks(parts, rules, seed, cells)
    answers = Answers(rules)
    ids = np.zeros((len(rules), MOST), dtype=np.int8)
    for row, rule in zip(ids, rules, strict=True):
        row[: len(rule)] = [token(part) for part in rule]
    return ScanData(
        split=split,
        commands=tokens(),
        answers=answers,
        names=known,
        rules=rules,
        rule_tokens=ids,
        groups=tuple(HELD_OUT if tasks.held[place] else group(rule) for place, rule in enumerate(rules)),
        changed=_changed(answers, rules),
        parts=parts,
        tasks=tasks,
    )
