"""ARC as a puzzle: the tasks of ARC-AGI-1 and -2, made into boards on the fly."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from leadline.config import ConfigError
from leadline.finding import Finding
from trainables.grids.arc import DataSet, GridTask, Pair, canonical, load
from trainables.grids.grid import FIRST, LARGEST, Images, encode, exchanged, image, shapes
from trainables.puzzles.grids import DEMO_INPUTS, DEMO_LABELS, GridPuzzle, imaged, stacked, task_images
from trainables.puzzles.puzzle import I64, U8, Boards, Fields, Mask, Names, Rows, digest_name

__all__ = ["Arc"]

TASK = "task"
"""The name of a board's task number, int64 [boards], among its extra arrays."""


class _Asked(NamedTuple):
    """A pair that is asked for, and what may be shown beside it."""

    task: int
    query: Pair
    shown: tuple[Pair, ...]
    of_scored: bool = False
    """Whether it is a demonstration of a scored task, which is trained on."""


class _Names:
    """The names of pairs up to symmetry, each computed once."""

    def __init__(self) -> None:
        self._found: dict[int, bytes] = {}

    def of(self, pair: Pair) -> bytes:
        """Returns the name of a pair of a loaded task, which lives as long as the process."""
        if id(pair) not in self._found:
            self._found[id(pair)] = digest_name(canonical(pair))
        return self._found[id(pair)]


@dataclass(frozen=True)
class Arc(GridPuzzle):
    """The tasks of ARC whose grids all fit the canvas.

    A board is one pair of a task. Evaluation tasks are dealt in halves to validation and test.
    Training has every pair of the training tasks, and with `transductive` also the demonstrations
    of the scored tasks, under their identifiers, as HRM and TRM are published; never their queries.
    A pair that is an image of a scored one is not trained on.

    Attributes:
        side: the side of the canvas.
        data_set: `arcagi1`, `arcagi2`, or `arcagi1_to_2`: trained and validated on the first,
            tested on the evaluation tasks of the second.
        transductive: whether demonstrations of the scored tasks are trained on.
        demonstrations: how many are shown beside a query; 0 for none.
        augmentations: how many images a task has besides itself.
        task_ids: the ids of the tasks; all, if none is named.
    """

    side: int
    data_set: str = "arcagi1"
    transductive: bool = True
    demonstrations: int = 0
    augmentations: int = 0
    task_ids: tuple[str, ...] = ()

    @classmethod
    def problem(cls, fields: Fields) -> str:
        """Returns what is wrong with a canvas, the ids of tasks, or the number shown."""
        if fields.size > LARGEST:
            return f"size: no grid of ARC is larger than {LARGEST} (got {fields.size})"
        if fields.clues:
            return f"clues: ARC has none (got {fields.clues})"
        puzzle = cls.of(fields)
        every = (*puzzle._training(), *puzzle._scored("test"), *puzzle._scored("validation"))
        known = {task.name: task.side for task in every}
        for name in fields.task_ids:
            if name not in known:
                return f"task_ids: no {name!r} in {fields.data_set}; an id is such as {min(known)}"
            if known[name] > fields.size:
                return f"task_ids: {name} has a side of {known[name]}, more than size, {fields.size}"
        return puzzle._impossible()

    def _impossible(self) -> str:
        """Returns what cannot be with the chosen tasks."""
        chosen = self._chosen()
        if not all(chosen.values()):
            empty = next(split for split, asked in chosen.items() if not asked)
            where = f"size: no {empty} task of {self.data_set} fits a canvas of side {self.side}"
            return f"task_ids: none of the named ones is left for {empty}" if self.task_ids else where
        most = max(len(asked.shown) for split in chosen.values() for asked in split)
        if self.demonstrations > most:
            return f"demonstrations: no task of these shows more than {most} (got {self.demonstrations})"
        return ""

    @classmethod
    def of(cls, fields: Fields) -> Self:
        """Returns the puzzle of a configuration that has no `problem`."""
        return cls(
            fields.size,
            fields.data_set,
            fields.protocol == "transductive",
            fields.demonstrations,
            fields.augmentations,
            tuple(fields.task_ids),
        )

    @property
    def key(self) -> str:
        """The data set, the canvas, the protocol, and what is shown of which tasks."""
        protocol = "transductive" if self.transductive else "inductive"
        named = f"-tasks{'+'.join(self.task_ids)}" if self.task_ids else ""
        shown = f"shown{self.demonstrations}-images{self.augmentations}"
        return f"{self.data_set}-side{self.side}-{protocol}-{shown}{named}"

    @property
    def identifiers(self) -> int:
        """One for each task and each of its images."""
        return len(self._numbers()) * (1 + self.augmentations)

    @property
    def task_names(self) -> tuple[str, ...]:
        """The ids of all tasks that fit the canvas."""
        return tuple(self._numbers())

    @property
    def example(self) -> Any:
        """The first task that is scored, with its demonstrations if any are looked at."""
        asked = self._chosen()["test"][0]
        name = self.task_names[asked.task]
        shown = [[one.tolist(), other.tolist()] for one, other in asked.shown[: self.demonstrations]]
        return {"query": asked.query[0].tolist(), "task": name, **({"demonstrations": shown} if shown else {})}

    def _fits(self, tasks: Sequence[GridTask]) -> tuple[GridTask, ...]:
        named = set(self.task_ids)
        return tuple(task for task in tasks if task.side <= self.side and (not named or task.name in named))

    def _training(self) -> tuple[GridTask, ...]:
        """Returns the training tasks of the data set."""
        return load(_first(self.data_set), "training")

    def _scored(self, split: str) -> tuple[GridTask, ...]:
        """Returns the evaluation tasks that validation or test are taken from."""
        second = self.data_set == "arcagi1_to_2" and split == "test"
        return load("arcagi2" if second else _first(self.data_set), "evaluation")

    def _halves(self) -> dict[str, tuple[GridTask, ...]]:
        """Returns the evaluation tasks of each scored split: every other one, in an order of ids.

        The order is that of the ids' digests, so that a half says nothing of its tasks.
        """
        if self.data_set == "arcagi1_to_2":
            return {split: self._fits(self._scored(split)) for split in ("test", "validation")}
        tasks = sorted(self._scored("test"), key=lambda task: digest_name(task.name.encode()))
        return {"test": self._fits(tasks[::2]), "validation": self._fits(tasks[1::2])}

    @functools.lru_cache(maxsize=4)  # noqa: B019  (puzzles are equal by their fields, and every batch asks)
    def _numbers(self) -> Mapping[str, int]:
        """Returns the number of each task by its id."""
        tasks = [*self._fits(self._training()), *(task for half in self._halves().values() for task in half)]
        return {name: number for number, name in enumerate(dict.fromkeys(task.name for task in tasks))}

    def _chosen(self) -> dict[str, list[_Asked]]:
        """Returns the pairs of each split, before images of one another are left out."""
        numbers, halves = self._numbers(), self._halves()
        found = {split: list(_queries(tasks, numbers)) for split, tasks in halves.items()}
        trained = list(_every_pair(self._fits(self._training()), numbers))
        if self.transductive:
            for tasks in halves.values():
                trained += (asked._replace(of_scored=True) for asked in _every_pair(tasks, numbers, queries=False))
        return {**found, "train": trained}

    def draw(self, counts: Mapping[str, int], generator: np.random.Generator) -> dict[str, Boards]:
        """Returns the boards of each split, at most so many, in a random order.

        Pairs that are images of one taken before, in the order of `counts`, are left out, and no
        scored pair is shown beside a training board. Demonstrations of the scored tasks are taken
        before other training pairs, so that few boards leave no scored task without any.
        """
        chosen, scored = self._chosen(), set[bytes]()
        names = _Names()
        found = {}
        for split, count in counts.items():
            order = generator.permutation(len(chosen[split])).tolist()
            taken = sorted((chosen[split][place] for place in order), key=lambda asked: not asked.of_scored)
            kept: dict[bytes, _Asked] = {}
            for asked in taken:
                name = names.of(asked.query)
                if len(kept) == count or name in scored or name in kept:
                    continue
                barred = scored if split == "train" else set[bytes]()
                shown = tuple(pair for pair in asked.shown if names.of(pair) not in barred)
                if shown or not self.demonstrations:
                    kept[name] = asked._replace(shown=shown)
            found[split] = self._boards([(asked, name) for name, asked in kept.items()], generator)
            scored |= kept.keys()
        return found

    def _boards(self, chosen: list[tuple[_Asked, bytes]], generator: np.random.Generator) -> Boards:
        """Returns pairs as boards, each with so many of its task's other pairs, drawn at random."""
        inputs, labels = (np.stack([encode(asked.query[side], self.side) for asked, _ in chosen]) for side in (0, 1))
        extra: dict[str, npt.NDArray[Any]] = {TASK: np.array([asked.task for asked, _ in chosen], dtype=np.int64)}
        if self.demonstrations:
            shown = [self._shown(asked, generator) for asked, _ in chosen]
            for side, name in enumerate((DEMO_INPUTS, DEMO_LABELS)):
                extra[name] = np.stack([pairs[side] for pairs in shown])
        guesses = (inputs != labels).sum(1).astype(np.int32)
        return Boards(inputs, labels, np.array([name for _, name in chosen], dtype="S24"), guesses, extra)

    def _shown(self, asked: _Asked, generator: np.random.Generator) -> tuple[U8, U8]:
        order = generator.permutation(len(asked.shown)).tolist()[: self.demonstrations]
        pairs = [(encode(asked.shown[i][0], self.side), encode(asked.shown[i][1], self.side)) for i in sorted(order)]
        return stacked(pairs, self.demonstrations, self.cells)

    def classes(self, boards: Boards) -> Names:
        """Returns the name of each board's pair up to symmetry and the names of colours."""
        pairs = zip(boards.inputs, boards.labels, strict=True)
        return np.array([digest_name(canonical((self._grid(one), self._grid(other)))) for one, other in pairs], "S24")

    def _grid(self, tokens: U8) -> U8:
        height, width = (int(size[0]) for size in shapes(tokens[None]))
        return tokens.reshape(self.side, self.side)[:height, :width] - FIRST

    def number(self, task: str) -> int:
        """Returns the identifier of a task itself, by its id."""
        if task not in self._numbers():
            raise ConfigError(f"inputs: task: no {task!r} among the tasks; an id is such as {min(self._numbers())}")
        return self._numbers()[task] * (1 + self.augmentations)

    def tasks(self, boards: Boards) -> I64:
        """Returns the number of each board's task."""
        return np.asarray(boards.extra[TASK], dtype=np.int64)

    def units(self, boards: Boards) -> I64:
        """Returns tasks: the queries of one are solved or missed together."""
        return self.tasks(boards)

    def new(self, boards: Boards) -> Mask:
        """Tells that all scored tasks are new, where their demonstrations are not trained on."""
        return np.full(len(boards), not self.transductive)

    def voting_images(self, count: int) -> tuple[I64, U8]:
        """Returns the images of each task, first those that have identifiers."""
        return task_images(len(self.task_names), max(self.augmentations, count - 1))

    def identified(self, identifiers: I64, number: int) -> I64:
        """Returns the identifiers of image `number` of tasks; beyond those with one, the tasks'."""
        return identifiers + number if number <= self.augmentations else identifiers

    def findings(self, splits: Mapping[str, Boards]) -> list[Finding]:
        """Says of each split how many of its pairs are used."""
        chosen = self._chosen()
        used = [f"{len(boards)} of {len(chosen[split])} for {split}" for split, boards in splits.items()]
        out = sum(len(chosen[split]) - len(boards) for split, boards in splits.items())
        why = "the others are images of pairs that are, or more than were asked for"
        pairs = Finding("pairs", False, out, f"pairs that are used: {', '.join(used)}; {why}.")
        return [pairs, *self._leaks(splits)] if self.demonstrations else [pairs]

    def _leaks(self, splits: Mapping[str, Boards]) -> list[Finding]:
        """Says whether a scored pair is shown in training, or a query beside itself."""
        train = splits["train"]
        scored = {name for split, boards in splits.items() if split != "train" for name in boards.classes.tolist()}
        shown = np.concatenate([train.extra[DEMO_INPUTS], train.extra[DEMO_LABELS]], 2).reshape(-1, 2 * self.cells)
        told = [self._named(pair) for pair in np.unique(shown[shown.any(1)], axis=0)]
        hits = sum(name in scored for name in told)
        beside = sum(
            int(((boards.extra[DEMO_INPUTS] == boards.inputs[:, None]).all(2)).any(1).sum())
            for boards in splits.values()
        )
        sentence = f"{beside} boards stand beside a demonstration of the same input."
        return [
            Finding("overlap_demonstrations", hits > 0, hits, f"{hits} scored pairs are shown in training."),
            Finding("own_demonstrations", beside > 0, beside, sentence),
        ]

    def _named(self, tokens: U8) -> bytes:
        """Returns the name of a pair, uint8 [2 * cells]."""
        return digest_name(canonical((self._grid(tokens[: self.cells]), self._grid(tokens[self.cells :]))))

    def rows(self, boards: Boards, index: I64, generator: np.random.Generator | None = None) -> Rows:
        """Returns the boards at `index` as a model is given them.

        With a generator, each row is one of its task's images, demonstrations and all, and each
        image has an identifier. Every other row is the task itself, which is what is scored; the
        queries of the others are moved to a random place.
        """
        tasks = boards.extra[TASK][index]
        inputs, labels, shown = boards.inputs[index], boards.labels[index], self.demonstrated(boards, index)
        numbers = np.zeros(len(index), dtype=np.int64)
        if generator is not None:
            others = generator.integers(1, 1 + max(1, self.augmentations), size=len(index))
            numbers = np.where(generator.random(len(index)) < 0.5, min(1, self.augmentations) * others, 0)
            turns, colours = (table[tasks, numbers] for table in task_images(len(self._numbers()), self.augmentations))
            down, right = (place * (numbers > 0) for place in _places(inputs, labels, turns, generator))
            inputs, labels = (image(tokens, Images(turns, colours, down, right)) for tokens in (inputs, labels))
            shown = {name: imaged(array, turns, colours) for name, array in shown.items()}
        identifier = tasks * (1 + self.augmentations) + numbers
        return {"inputs": inputs.astype(np.int64), "labels": labels.astype(np.int64), "puzzle": identifier, **shown}


def _first(data_set: str) -> DataSet:
    """Returns the data set that is trained on."""
    return "arcagi2" if data_set == "arcagi2" else "arcagi1"


def _queries(tasks: Sequence[GridTask], numbers: Mapping[str, int]) -> Iterator[_Asked]:
    """Yields the queries of tasks, each beside all demonstrations of its task."""
    for task in tasks:
        for query in task.queries:
            yield _Asked(numbers[task.name], query, task.demonstrations)


def _every_pair(tasks: Sequence[GridTask], numbers: Mapping[str, int], *, queries: bool = True) -> Iterator[_Asked]:
    """Yields the pairs of tasks, each beside the demonstrations of its task but itself."""
    for task in tasks:
        for pair in (*task.demonstrations, *(task.queries if queries else ())):
            yield _Asked(numbers[task.name], pair, tuple(shown for shown in task.demonstrations if shown is not pair))


def _places(inputs: U8, labels: U8, turns: I64, generator: np.random.Generator) -> tuple[I64, I64]:
    """Draws how far each query is moved, so that input and output both stay on the canvas.

    Args:
        inputs: uint8 [rows, cells].
        labels: uint8 [rows, cells].
        turns: which turn each is given, int64 [rows].
        generator: draws uniformly.
    """
    side = math.isqrt(inputs.shape[1])
    (high, wide), (other_high, other_wide) = shapes(inputs), shapes(labels)
    high, wide = np.maximum(high, other_high), np.maximum(wide, other_wide)
    lying = exchanged(turns)
    high, wide = np.where(lying, wide, high), np.where(lying, high, wide)
    return generator.integers(side - high + 1), generator.integers(side - wide + 1)
