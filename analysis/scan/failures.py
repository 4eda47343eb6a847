"""Where a network's answers are wrong: by score, rule, length and word, and at which token.

All rows of the test split are counted, those under no rule and those under rules. One command may
stand in several of these sets, under other rules; it is one unit of a bin, by the mean over its
rows there. Beside each bin stands the answer to the nearest training command.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from leadline.analysis.sweep import TrialView
from leadline.measure import Measure
from leadline.statistics import mean_over_units
from trainables.scan import trivial
from trainables.scan.config import ScanConfig
from trainables.scan.data import ScanData
from trainables.scan.decoding import Decodable, decode
from trainables.scan.family import SCAN
from trainables.scan.grammar import ACTIONS, PAD, SPECIALS, TURN, VERBS, WORDS, actions
from trainables.scan.rows import Rows, padding, scored
from trainables.scan.rules import RULES

__all__ = ["EXAMPLES", "Bin", "Confusion", "Failures", "Sheet", "Wrong", "answered", "failures", "questioned", "tally"]

I64 = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

EXAMPLES = 2  # wrong answers that are shown of each score
CONFUSIONS = 10  # kinds of a first wrong token that are counted
LENGTHS = (1, 12, 23, 34, 49)
"""The first lengths of the bins of answers, in actions.

The split `length` trains on answers of up to 22 actions; without a rule none is longer than 48.
"""
NONE = "none"  # what stands in place of a token where there is no answer
TOKENS = (*SPECIALS, *ACTIONS)


@dataclass(frozen=True)
class Sheet:
    """The rows of one score, and the answers to them.

    Attributes:
        score: the name of the metric.
        rows: the rows.
        wanted: int64 [rows, positions], the right answers with END and PAD.
        said: int64 [rows, positions], the network's; -1 in rows where it says no number.
        nearest: bool [rows], where the answer to the nearest training command is right.
    """

    score: str
    rows: Rows
    wanted: I64
    said: I64
    nearest: Mask

    @property
    def right(self) -> Mask:
        """Where the whole answer is right, bool [rows]."""
        return np.asarray((self.wanted == self.said).all(1))

    @property
    def position(self) -> I64:
        """The position of the first wrong token, from 1; 0 where the answer is right."""
        differs = self.wanted != self.said
        return np.asarray(np.where(differs.any(1), 1 + differs.argmax(1), 0))


class Bin(NamedTuple):
    """Exact match in one bin: means over its commands."""

    by: str
    label: str
    commands: int
    rows: int
    wrong: int
    exact: Measure
    nearest: Measure


class Confusion(NamedTuple):
    """How often a first wrong token is `said` in place of `wanted`."""

    wanted: str
    said: str
    answers: int


class Wrong(NamedTuple):
    """A wrong answer; `position` is that of its first wrong token, counted from 1."""

    score: str
    rule: str
    command: str
    expected: str
    said: str
    position: int
    wanted_token: str
    said_token: str


@dataclass(frozen=True)
class Failures:
    """The bins of a network's answers to the test split, what is wrong first, and examples."""

    trial: str
    split: str
    bins: list[Bin]
    confusions: list[Confusion]
    examples: list[Wrong]
    predictors: dict[str, dict[str, Measure]]


def answered(config: ScanConfig, data: ScanData, model: nn.Module) -> list[Sheet]:
    """Answers all rows of the test split, as trials are scored on them."""
    return [_sheet(config, data, model, name, rows) for name, rows in scored(config, data, "test").items()]


def _sheet(config: ScanConfig, data: ScanData, model: nn.Module, name: str, rows: Rows) -> Sheet:
    said, near = rows.actions, rows.actions
    if len(rows.commands):
        rules, commands = (torch.from_numpy(part) for part in (rows.rules, rows.commands))
        found = decode(cast(Decodable, model), rules, commands, rows.actions.shape[1], config.beam)
        said = found.actions.masked_fill(found.score.isnan()[:, None], -1).numpy()
        near = trivial.nearest(data, rows.names, rows.places).astype(np.int64)
    width = max(part.shape[1] for part in (rows.actions, said, near))
    wanted, said, near = (padding(part, width) for part in (rows.actions, said, near))
    said[(said < 0).any(1)] = -1
    return Sheet(name, rows, wanted, said, (wanted == near).all(1))


def _dimensions(data: ScanData, sheets: list[Sheet]) -> Iterator[tuple[str, dict[str, Mask]]]:
    """Yields the dimensions: name, and by label which of all rows stand in the bin."""
    which = np.concatenate([np.full(len(sheet.wanted), place) for place, sheet in enumerate(sheets)])
    yield "score", {sheet.score: which == place for place, sheet in enumerate(sheets)}
    names = np.concatenate([sheet.rows.names for sheet in sheets])
    places = np.concatenate([sheet.rows.places for sheet in sheets])
    holding = {rule: np.array([any(part.name == rule for part in rules) for rules in data.rules]) for rule in RULES}
    yield "rule", {"base": names == 0, **{rule: held[names] for rule, held in holding.items()}}
    lengths = data.answers.lengths[names, places]
    codes = np.searchsorted(np.array(LENGTHS), lengths, side="right")
    words = {word: (data.commands[places] == len(SPECIALS) + WORDS.index(word)).any(1) for word in (*VERBS, TURN)}
    spans = [f"{low} to {high - 1}" for low, high in itertools.pairwise(LENGTHS)] + [f"from {LENGTHS[-1]}"]
    for end, within in (("no rule", names == 0), ("rules", names > 0)):
        yield f"length, {end}", {f"{span}, {end}": within & (codes == i + 1) for i, span in enumerate(spans)}
        yield f"primitive, {end}", {f"{word}, {end}": within & held for word, held in words.items()}


def _share(places: I64, right: Mask) -> Measure:
    """Returns the mean over commands of the share of their rows that is right."""
    _, ids = np.unique(places, return_inverse=True)
    ids = ids.reshape(-1)
    return mean_over_units(np.bincount(ids, right) / np.bincount(ids), (0.0, 1.0))


def tally(data: ScanData, sheets: list[Sheet]) -> list[Bin]:
    """Counts the bins one after the other; those without rows are left out.

    A row stands in several bins of one dimension where its rule has several parts, or its command
    several primitives.
    """
    places, right, nearest = (
        np.concatenate(parts)
        for parts in zip(*((sheet.rows.places, sheet.right, sheet.nearest) for sheet in sheets), strict=True)
    )
    return [
        Bin(
            by,
            label,
            len(np.unique(places[own])),
            int(own.sum()),
            int((~right[own]).sum()),
            _share(places[own], right[own]),
            _share(places[own], nearest[own]),
        )
        for by, bins in _dimensions(data, sheets)
        for label, own in bins.items()
        if own.any()
    ]


def _token(token: int) -> str:
    return NONE if token < 0 else TOKENS[token]


def _confusions(sheets: list[Sheet]) -> list[Confusion]:
    """Counts the pairs of a wanted token and the first wrong one, the commonest first."""
    found = Counter[tuple[int, int]]()
    for sheet in sheets:
        position = sheet.position
        wrong = np.flatnonzero(position)
        at = position[wrong] - 1
        found.update(zip(sheet.wanted[wrong, at].tolist(), sheet.said[wrong, at].tolist(), strict=True))
    return [Confusion(_token(wanted), _token(said), count) for (wanted, said), count in found.most_common(CONFUSIONS)]


def _examples(data: ScanData, sheet: Sheet, count: int) -> list[Wrong]:
    """Returns the wrong answers of a score whose right answers are shortest."""
    position, lengths = sheet.position, (sheet.wanted != PAD).sum(1)
    wrong = np.flatnonzero(position)
    chosen = wrong[np.argsort(lengths[wrong], kind="stable")][:count]
    return [_wrong(data, sheet, row, int(position[row])) for row in chosen.tolist()]


def _wrong(data: ScanData, sheet: Sheet, row: int, position: int) -> Wrong:
    words = [WORDS[token - len(SPECIALS)] for token in sheet.rows.commands[row].tolist() if token != PAD]
    wanted, said = sheet.wanted[row].tolist(), sheet.said[row].tolist()
    return Wrong(
        score=sheet.score,
        rule=data.names[sheet.rows.names[row]],
        command=" ".join(words),
        expected=" ".join(actions(wanted)),
        said=NONE if said[0] < 0 else " ".join(actions(said)),
        position=position,
        wanted_token=_token(wanted[position - 1]),
        said_token=_token(said[position - 1]),
    )


def questioned(
    trial: str,
    config: ScanConfig,
    data: ScanData,
    model: nn.Module,
    examples: int = EXAMPLES,
    predictors: Mapping[str, dict[str, Measure]] | None = None,
) -> Failures:
    """Counts all bins of a network.

    Args:
        trial: what titles call it.
        config: its configuration.
        data: the data of the configuration.
        model: the network, in eval mode on the CPU.
        examples: wrong answers that are given of each score, at most.
        predictors: the scores of the trivial predictors, if they are known.
    """
    sheets = answered(config, data, model)
    return Failures(
        trial=trial,
        split=data.split,
        bins=tally(data, sheets),
        confusions=_confusions(sheets),
        examples=[wrong for sheet in sheets for wrong in _examples(data, sheet, examples)],
        predictors=dict(predictors or SCAN.baselines(config, data, "test")),
    )


def failures(view: TrialView, config: ScanConfig, examples: int = EXAMPLES) -> Failures:
    """Counts all bins of a trial with the weights of its checkpoint.

    Raises:
        ValueError: if it has no intact checkpoint.
    """
    model = view.load()
    return questioned(f"{view.sweep.name}, trial {view.number}", config, SCAN.build_data(config), model, examples)
