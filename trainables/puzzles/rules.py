"""Small grids whose rules are known: unlimited instances, and rules that are never trained on."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from leadline.config import ConfigError
from leadline.finding import Finding
from leadline.plain import plural
from trainables.grids.grid import LARGEST, decode, encode
from trainables.grids.rules.registry import RULES, TRAINED, held_out, is_held, training
from trainables.grids.rules.rule import Rule, same
from trainables.grids.rules.search import ambiguous, solve
from trainables.puzzles.grids import DEMO_INPUTS, DEMO_LABELS, DEMO_MASK, GridPuzzle, largest_sides, stacked
from trainables.puzzles.puzzle import I64, PATIENCE, U8, Boards, Fields, Mask, Names, Predictor, Rows, digest_name

__all__ = ["NEW", "RULE", "GridRules"]

RULE, NEW = "rule", "new"
"""The names of a board's rule, int64 [boards] in the order of `RULES`, and of whether the rule is
one that is never trained on, bool [boards].
"""
LEAST = 3
"""The smallest side of an input."""
SEARCHED = 200
"""The number of scored boards of each split that are searched for a second rule, evenly spaced."""
SHARES = 8
"""The number of parts into which the inputs of each rule are divided.

One part is for test, one for validation, the others for training and for demonstrations.
"""
PARTS = {"test": (0,), "validation": (1,), "train": tuple(range(2, SHARES))}


@dataclass(frozen=True)
class GridRules(GridPuzzle):
    """Grids changed by one of the rules of `trainables.grids.rules`.

    A training board is one pair of a rule. Its demonstrations are other training pairs of the same
    rule, drawn anew each time. A scored board has its own, fixed ones. The inputs of each rule are
    divided by their digest, so that no input of a scored board is ever trained on or shown under
    the same rule. Where demonstrations are shown, each scored split has as many boards again of
    rules that are never trained on.

    Attributes:
        side: the side of the canvas.
        demonstrations: how many are shown beside a query; 0 for none.
        train_rules: how many rules are trained on.
        grid_size: the side of the largest grid; 0 for that of the canvas.
        task_ids: the names of the rules that are trained on; none stands for the first.
    """

    side: int
    demonstrations: int = 2
    train_rules: int = 12
    grid_size: int = 0
    task_ids: tuple[str, ...] = ()

    @classmethod
    def problem(cls, fields: Fields) -> str:
        """Returns what is wrong with a canvas, the number of rules, or of boards."""
        if fields.size > LARGEST:
            return f"size: no grid is larger than {LARGEST} (got {fields.size})"
        if fields.clues:
            return f"clues: grids have none (got {fields.clues})"
        if fields.grid_size and not LEAST <= fields.grid_size <= fields.size:
            return f"grid_size: from {LEAST} to size, which is {fields.size}, or 0 (got {fields.grid_size})"
        most = len(TRAINED)
        if fields.train_rules > most:
            return f"train_rules: at most {most}, as the others are held out (got {fields.train_rules})"
        if unknown := sorted(set(fields.task_ids) - (RULES.keys() - {rule.name for rule in held_out(1)})):
            return f"task_ids: no rule {unknown[0]!r} can be trained on; a rule is such as {TRAINED[0]!r}"
        if held := [name for name in fields.task_ids if is_held(RULES[name])]:
            return f"task_ids: {held[0]!r} is of a family that is held out; a rule is such as {TRAINED[0]!r}"
        if len(set(fields.task_ids)) < len(fields.task_ids):
            return "task_ids: each rule once"
        rules = len(fields.task_ids) or fields.train_rules
        least = cls.of(fields).fewest
        if fields.train_boards < least:
            of_each = f"{rules} rules need a pair and {fields.demonstrations} others each"
            return f"train_boards: at least {least}, as {of_each} (got {fields.train_boards})"
        return ""

    @classmethod
    def of(cls, fields: Fields) -> Self:
        """Returns the puzzle of a configuration that has no `problem`."""
        names = tuple(fields.task_ids)
        return cls(fields.size, fields.demonstrations, len(names) or fields.train_rules, fields.grid_size, names)

    @property
    def trained(self) -> tuple[Rule, ...]:
        """The rules that are trained on, in order."""
        return tuple(RULES[name] for name in self.task_ids) or training(self.train_rules)

    @property
    def largest(self) -> int:
        """The most cells of any side of a grid."""
        return self.grid_size or self.side

    @property
    def key(self) -> str:
        """The canvas, the largest grid, the rules, and the number of demonstrations."""
        largest = f"-grid{self.grid_size}" if self.grid_size else ""
        named = f"-{'+'.join(self.task_ids)}" if self.task_ids else ""
        return f"rules{self.train_rules}-side{self.side}{largest}-shown{self.demonstrations}{named}"

    @property
    def identifiers(self) -> int:
        """One for each rule that is trained on."""
        return self.train_rules

    @property
    def task_names(self) -> tuple[str, ...]:
        """The names of all rules."""
        return tuple(RULES)

    @property
    def fewest(self) -> int:
        """A query of each rule, and what is shown beside it."""
        return len(self.trained) * (1 + self.demonstrations)

    @property
    def example(self) -> Any:
        """An instance of the first rule, with its demonstrations if any are looked at."""
        generator = np.random.default_rng(0)
        rule = self.trained[0]
        (query, *pairs) = (rule.pair(generator, LEAST, self.largest) for _ in range(1 + self.demonstrations))
        shown = [[one.tolist(), other.tolist()] for one, other in pairs]
        return {"query": query[0].tolist(), "task": rule.name, **({"demonstrations": shown} if shown else {})}

    def draw(self, counts: Mapping[str, int], generator: np.random.Generator) -> dict[str, Boards]:
        """Draws the boards of all splits; the rules take turns.

        Raises:
            ConfigError: if a rule has not so many different inputs.
        """
        trained, new = self.trained, held_out(self.train_rules)
        found = {}
        # Streams of their own, so that boards of new rules are the same however many are trained.
        streams = dict(zip(counts, zip(*[iter(generator.spawn(2 * len(counts)))] * 2, strict=True), strict=True))
        for split, count in counts.items():
            own, others = streams[split]
            boards = self._pairs(trained, count, split, own)
            if split != "train" and self.demonstrations:
                fresh = self._shown(self._pairs(new, count, split, others), new, others)
                boards = joined([self._shown(boards, trained, own), fresh])
                boards = boards.take(own.permutation(len(boards)))
            found[split] = boards
        return found

    def _pairs(self, rules: Sequence[Rule], count: int, split: str, generator: np.random.Generator) -> Boards:
        """Draws so many pairs, all different, of each rule in turn."""
        seen: set[tuple[int, bytes]] = set()
        tokens: list[tuple[U8, U8]] = []
        for place in range(count):
            tokens.append(self._fresh(rules[place % len(rules)], place % len(rules), split, seen, generator))
        inputs, labels = (np.stack([pair[side] for pair in tokens]) for side in (0, 1))
        numbers = np.array([_NUMBERS[rule.name] for rule in rules], dtype=np.int64)
        trained = {rule.name for rule in self.trained}
        new = np.array([rule.name not in trained for rule in rules])
        turn = np.arange(count) % len(rules)
        extra: dict[str, npt.NDArray[Any]] = {RULE: numbers[turn], NEW: new[turn]}
        boards = Boards(inputs, labels, np.zeros(count, "S24"), largest_sides(inputs, labels), extra)
        return Boards(inputs, labels, self.classes(boards), boards.guesses, extra)

    def _fresh(
        self, rule: Rule, place: int, split: str, seen: set[tuple[int, bytes]], generator: np.random.Generator
    ) -> tuple[U8, U8]:
        """Draws a pair of a rule whose input belongs to the split and was not drawn before."""
        for _ in range(PATIENCE):
            one, other = rule.pair(generator, LEAST, self.largest)
            tokens = encode(one, self.side)
            key = (place, tokens.tobytes())
            if part(rule, tokens) in PARTS[split] and key not in seen:
                seen.add(key)
                return tokens, encode(other, self.side)
        drawn = f"{PATIENCE} draws brought no other input of {rule.name} for {split}"
        raise ConfigError(f"{split}_boards: {drawn} at side {self.largest}; ask for fewer")

    def _shown(self, boards: Boards, rules: Sequence[Rule], generator: np.random.Generator) -> Boards:
        """Returns the boards with demonstrations of their rules, drawn from the training inputs."""
        inputs, labels = [], []
        for place in range(len(boards)):
            at = place % len(rules)
            seen: set[tuple[int, bytes]] = set()
            pairs = [self._fresh(rules[at], at, "train", seen, generator) for _ in range(self.demonstrations)]
            one, other = stacked(pairs, self.demonstrations, self.cells)
            inputs.append(one)
            labels.append(other)
        shown = {DEMO_INPUTS: np.stack(inputs), DEMO_LABELS: np.stack(labels)}
        return Boards(boards.inputs, boards.labels, boards.classes, boards.guesses, {**boards.extra, **shown})

    def classes(self, boards: Boards) -> Names:
        """Returns the name of each board's rule with its input: an image is another board."""
        named = zip(boards.extra[RULE].tolist(), boards.inputs, strict=True)
        return np.array([_name(_ORDER[rule], board) for rule, board in named], "S24")

    def rows(self, boards: Boards, index: I64, generator: np.random.Generator | None = None) -> Rows:
        """Returns the boards at `index` as a model is given them.

        With a generator, demonstrations are other boards of the same rule, drawn at random.
        """
        inputs, labels = boards.inputs[index].astype(np.int64), boards.labels[index].astype(np.int64)
        numbers = np.where(boards.extra[NEW][index], 0, _places(self.trained)[boards.extra[RULE][index]])
        rows = {"inputs": inputs, "labels": labels, "puzzle": numbers}
        if DEMO_INPUTS in boards.extra:
            return {**rows, **self.demonstrated(boards, index)}
        return {**rows, **self._mates(boards, index, generator)} if self.demonstrations else rows

    def _mates(self, boards: Boards, index: I64, generator: np.random.Generator | None) -> Rows:
        """Returns as demonstrations other boards of the same rule, which stand `train_rules` apart.

        Without a generator they are those that follow.
        """
        count, rules = self.demonstrations, self.train_rules
        turn, own = index % rules, index // rules
        there = (len(boards) - turn + rules - 1) // rules
        if generator is None:
            ahead = np.tile(np.arange(1, count + 1), (len(index), 1))
        else:
            ahead = _distinct(there - 1, count, generator)
        mates = (own[:, None] + ahead) % there[:, None] * rules + turn[:, None]
        inputs, labels = (array[mates].astype(np.int64) for array in (boards.inputs, boards.labels))
        return {DEMO_INPUTS: inputs, DEMO_LABELS: labels, DEMO_MASK: np.ones(mates.shape, dtype=np.bool_)}

    def easiest_first(self, boards: Boards) -> I64:
        """Returns the order in which each rule's grids grow, and the rules still take turns."""
        order = np.empty(len(boards), dtype=np.int64)
        for turn in range(len(self.trained)):
            own = slice(turn, None, len(self.trained))
            order[own] = turn + len(self.trained) * np.argsort(boards.guesses[own], kind="stable")
        return order

    def number(self, task: str) -> int:
        """Returns the identifier of a rule that is trained on, by its name."""
        names = [rule.name for rule in self.trained]
        if task not in names:
            raise ConfigError(f"inputs: task: no rule {task!r} is trained on; they are {', '.join(names)}")
        return names.index(task)

    def tasks(self, boards: Boards) -> I64:
        """Returns the number of each board's rule."""
        return np.asarray(boards.extra[RULE], dtype=np.int64)

    def agreeing(self, boards: Boards) -> Mask:
        """Tells which boards the rule of the next one has the same answer for."""
        known = zip(np.roll(boards.extra[RULE], -1).tolist(), boards.inputs, boards.labels, strict=True)
        return np.array(
            [same(_ORDER[rule].answer(self._grid(board)), self._grid(label)) for rule, board, label in known]
        )

    def new(self, boards: Boards) -> Mask:
        """Tells which boards are of rules that are never trained on."""
        return np.asarray(boards.extra[NEW], dtype=np.bool_)

    def units(self, boards: Boards) -> I64:
        """Returns the boards themselves, and of new rules the rules.

        Rules that are trained on are all that there are of them, and their boards are drawn at
        random. What is said of new rules is said of others like them.
        """
        return np.where(self.new(boards), len(boards) + self.tasks(boards), np.arange(len(boards)))

    def predictors(self, train: Boards) -> dict[str, Predictor]:
        """Returns those of all grids, and as oracles the rule itself and the search for it."""
        found = {**super().predictors(train), "oracle: the rule": self._by_rule}
        return {**found, "oracle: search": self._by_search} if self.demonstrations else found

    def _by_rule(self, boards: Boards) -> U8:
        known = zip(boards.extra[RULE].tolist(), boards.inputs, strict=True)
        return np.stack([encode(_ORDER[rule].answer(self._grid(board)), self.side) for rule, board in known])

    def _by_search(self, boards: Boards) -> U8:
        """Answers by the first rule that agrees with the demonstrations; with the input if none."""
        answers = []
        for place, board in enumerate(boards.inputs):
            found = solve(self._pairs_of(boards, place), self._grid(board))
            # A rule may agree with the demonstrations and answer the query with a larger grid.
            fits = found is not None and max(found.shape) <= self.side
            answers.append(encode(found, self.side) if fits and found is not None else board)
        return np.stack(answers)

    def _pairs_of(self, boards: Boards, place: int) -> list[tuple[U8, U8]]:
        shown = zip(boards.extra[DEMO_INPUTS][place], boards.extra[DEMO_LABELS][place], strict=True)
        return [(self._grid(one), self._grid(other)) for one, other in shown]

    def _grid(self, tokens: U8) -> U8:
        grid = decode(tokens, self.side)
        if grid is None:
            raise ValueError("tokens that are no grid")
        return grid

    def findings(self, splits: Mapping[str, Boards]) -> list[Finding]:
        """Says which rules are trained on, and how many scored boards have another answer too.

        Another answer is one that a rule gives that agrees with all demonstrations.
        """
        trained = ", ".join(rule.name for rule in self.trained)
        found = [
            Finding(
                "rules",
                False,
                self.train_rules,
                f"{plural(self.train_rules, 'rule is', 'rules are')} trained on: {trained}.",
            )
        ]
        for split, boards in splits.items():
            if DEMO_INPUTS in boards.extra:
                places = range(0, len(boards), -(-len(boards) // SEARCHED))
                doubtful = sum(ambiguous(self._pairs_of(boards, at), self._grid(boards.inputs[at])) for at in places)
                other = f"{doubtful} of {len(places)} {split} boards have another rule that agrees with what is shown"
                found.append(Finding(f"ambiguous_{split}", False, doubtful, f"{other}, and answers otherwise."))
        return found


def _distinct(most: I64, count: int, generator: np.random.Generator) -> I64:
    """Draws `count` different numbers from 1 to `most`, int64 [rows], for each row.

    Each new one is drawn from the numbers that are left, which are counted past the others.
    """
    found: list[I64] = []
    for number in range(count):
        drawn = 1 + (generator.random(len(most)) * (most - number)).astype(np.int64)
        for before in np.sort(np.array(found), 0) if found else ():
            drawn += drawn >= before
        found.append(drawn)
    return np.stack(found, 1)


def part(rule: Rule, tokens: U8) -> int:
    """Returns the part, 0 to `SHARES` - 1, to which an input of a rule belongs."""
    return int(_name(rule, tokens)[:6], 16) % SHARES


def _name(rule: Rule, tokens: U8) -> bytes:
    """Returns the name of an input of a rule."""
    return digest_name(rule.name.encode() + b"\0" + tokens.tobytes())


def joined(parts: Sequence[Boards]) -> Boards:
    """Returns boards behind one another; all have the same arrays."""
    arrays = [boards.arrays() for boards in parts]
    return Boards.of({name: np.concatenate([one[name] for one in arrays]) for name in arrays[0]})


_ORDER: tuple[Rule, ...] = tuple(RULES.values())
_NUMBERS: Mapping[str, int] = {rule.name: number for number, rule in enumerate(_ORDER)}


@functools.lru_cache(maxsize=8)
def _places(trained: tuple[Rule, ...]) -> I64:
    """Returns the identifier of each rule, int64 [rules]; 0 for those that are not trained on."""
    places = np.zeros(len(_ORDER), dtype=np.int64)
    for place, rule in enumerate(trained):
        places[_NUMBERS[rule.name]] = place
    return places
