"""Rows of training and scoring: commands under a rule, with their answers as networks read them."""

from __future__ import annotations

from typing import Literal, NamedTuple, cast

import numpy as np
import numpy.typing as npt

from leadline.curriculum import Position
from leadline.task import Split
from trainables.scan.config import ScanConfig
from trainables.scan.data import HELD_OUT, ScanData
from trainables.scan.grammar import PAD
from trainables.scan.rule_split import KINDS

__all__ = ["Rows", "Sampler", "drawn", "scored"]

I64 = npt.NDArray[np.int64]

DEALT = 8  # batches that are drawn together and sorted by length, so that their rows are of like length


class Rows(NamedTuple):
    """Commands under rules.

    Attributes:
        rules: int64 [rows, parts], the tokens of the rule; PAD where there is none.
        commands: int64 [rows, words], with PAD at the end.
        actions: int64 [rows, positions], with END after the answer and PAD after that.
        places: int64 [rows], the places of the commands among all.
        names: int64 [rows], the places of the rules among `ScanData.names`.
    """

    rules: I64
    commands: I64
    actions: I64
    places: I64
    names: I64


def take(data: ScanData, rules: I64, commands: I64) -> Rows:
    """Returns rows by places of rules and commands, each int64 [rows]."""
    return Rows(
        data.rule_tokens[rules].astype(np.int64),
        data.commands[commands].astype(np.int64),
        data.answers(rules, commands).astype(np.int64),
        commands,
        rules,
    )


class Sampler:
    """Draws the rows of a step, a function of configuration, step and stage alone.

    Eight batches are drawn together, their rows sorted by the length of the answer, and dealt out
    in a random order: each row is as probable as without sorting, and the rows of a batch need
    little padding. A row under a rule is drawn by rule first, so that all rules of the stage's
    groups have equal shares, then among the commands on which the rule is trained.
    """

    def __init__(self, config: ScanConfig, data: ScanData) -> None:
        self.config = config
        self.data = data
        self.lengths = data.answers.lengths
        rules, self.commands = np.nonzero(data.tasks.trained)
        self.first = np.searchsorted(rules, np.arange(len(data.names) + 1))
        groups = np.array(data.groups)
        self.rules = {name: np.flatnonzero(groups == name) for name in ("simple", "complex", "novel")}

    def share(self, at: Position) -> float:
        """Returns the share of rows under a rule at a place in the curriculum, the cap included."""
        asked, cap = at.number("modified"), self.config.modified_cap
        return min(asked, cap / (cap + len(self.data.train))) if cap else asked

    def rows(self, step: int, at: Position) -> Rows:
        """Returns the rows of a step."""
        size = self.config.batch
        count = DEALT * size
        generator = np.random.default_rng([self.config.seed, step // DEALT])
        commands = self.data.train[generator.integers(len(self.data.train), size=count)]
        modified = generator.random(count) < self.share(at)
        which, place = generator.random((2, count))
        order = generator.permutation(DEALT)
        rules = np.zeros(count, dtype=np.int64)
        known = np.concatenate([self.rules[name] for name in at.choice("rules") if name in self.rules] or [rules[:0]])
        if len(known):
            chosen = known[(which * len(known)).astype(np.int64)]
            own = self.first[chosen] + (place * (self.first[chosen + 1] - self.first[chosen])).astype(np.int64)
            rules, commands = np.where(modified, chosen, 0), np.where(modified, self.commands[own], commands)
        by_length = np.argsort(self.lengths[rules, commands], kind="stable")
        dealt = by_length[order[step % DEALT] * size :][:size]
        return take(self.data, rules[dealt], commands[dealt])


def drawn(config: ScanConfig, data: ScanData, split: Split, count: int) -> Rows:
    """Returns a fixed draw of a split's distinct commands under no rule, `count` of them or all."""
    commands = np.sort(_order(config, getattr(data, split))[:count])
    return take(data, np.zeros(len(commands), dtype=np.int64), commands)


def _order(config: ScanConfig, commands: I64) -> I64:
    """Returns distinct commands in an order that the data's seed has drawn."""
    return np.random.default_rng([config.data_seed, 4]).permutation(np.unique(commands))


def scored(config: ScanConfig, data: ScanData, split: Split) -> dict[str, Rows]:
    """Returns the scored rows of a split by the name of their metric.

    They are the same for every trial with these data. Of validation, `eval_commands` commands are
    drawn; test is scored whole. Under rules, `eval_rules` commands are drawn for each metric and
    dealt to its rules in turn, where they change the answer: a command is one unit.
    """
    base = drawn(config, data, split, data.commands.shape[0] if split == "test" else config.eval_commands)
    groups, part = np.array(data.groups), cast(Literal["validation", "test"], split)
    new, pairs, rules = (data.tasks.scored(kind, part) for kind in KINDS)
    pools = {name: new & (groups == name)[:, None] for name in ("simple", "complex", "novel")}
    pools |= {"unseen_pairs": pairs, HELD_OUT: rules}
    return {"exact": base, **{name: _dealt(config, data, pool & data.changed) for name, pool in pools.items()}}


def _dealt(config: ScanConfig, data: ScanData, pool: npt.NDArray[np.bool_]) -> Rows:
    """Deals commands to rules in turn, each to the next whose pair with it is in a pool.

    Args:
        config: says how many commands there are to be.
        data: the rules and commands.
        pool: bool [rules, commands].
    """
    known = np.flatnonzero(pool.any(1))
    turn, pairs = 0, list[tuple[int, int]]()
    for command in _order(config, np.flatnonzero(pool.any(0)))[: config.eval_rules].tolist():
        steps = np.flatnonzero(np.roll(pool[known, command], -turn))
        turn = (turn + int(steps[0])) % len(known)
        pairs.append((int(known[turn]), command))
        turn = (turn + 1) % len(known)
    found = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    return take(data, found[:, 0], found[:, 1])


def padding(rows: I64, width: int) -> I64:
    """Returns tokens, int64 [rows, positions], padded to a width that they do not exceed."""
    return np.pad(rows, ((0, 0), (0, width - rows.shape[1])), constant_values=PAD)
