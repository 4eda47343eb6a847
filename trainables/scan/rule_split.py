"""Which rules are trained on which commands, and what stays unseen of both."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from leadline.config import ConfigError, did_you_mean
from trainables.scan.grammar import WORDS, commands
from trainables.scan.rules import Combination
from trainables.scan.splits import Parts

__all__ = ["KINDS", "Kind", "RuleTasks", "Scored", "check_cells", "rule_tasks"]

I64 = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Scored = Literal["validation", "test"]
Kind = Literal["commands", "pairs", "rules"]

KINDS: Final[tuple[Kind, ...]] = ("commands", "pairs", "rules")
"""What is unseen: the command; the pair, its command being trained under other rules and its rule
on other commands; the combination of rules, its parts being trained.
"""
HELD_RULES = 0.25  # share of the combinations that are never trained
HELD_PAIRS = 0.1  # share of a rule's training commands that it is not trained on


@dataclass(frozen=True)
class RuleTasks:
    """What rules are trained on, and scored on.

    The base rule is trained on every training command. Validation and test have pairs of their own;
    the combinations that are held out are the same in both, on other commands.

    Attributes:
        held: bool [rules], combinations that are never trained.
        trained: bool [rules, commands].
        unseen: int8 [rules, commands]: 1 for a pair that validation is scored on, 2 for one of
            test, of those whose command is trained under other rules.
        parts: the rows of commands.
    """

    held: Mask
    trained: Mask
    unseen: npt.NDArray[np.int8]
    parts: Parts

    def scored(self, kind: Kind, split: Scored) -> Mask:
        """Returns the pairs of rule and command that a split is scored on, bool [rules, commands].

        They are all of them, also where the rule leaves the answer as it was.
        """
        if kind == "pairs":
            return np.asarray(self.unseen == 1 + (split == "test"))
        found = np.zeros(self.trained.shape, dtype=np.bool_)
        found[np.ix_(self.held == (kind == "rules"), np.unique(getattr(self.parts, split)))] = True
        return found


def rule_tasks(
    parts: Parts, rules: Sequence[Combination], seed: int, cells: Sequence[tuple[str, str]] = ()
) -> RuleTasks:
    """Draws which combinations, and which pairs of rule and command, are not trained.

    A quarter of the combinations is held out, but each of their parts stays in one that is trained;
    of the others, a tenth of their training commands, half for validation and half for test.

    Args:
        parts: the rows of commands.
        rules: the rules, the first of them the base rule.
        seed: of the draws.
        cells: a single rule and a word: neither the rule nor a combination with it is trained on a
            command with the word. All these pairs are test's.

    Raises:
        ConfigError: beginning with `cells`, for a rule or a word that is none, or for words without
            which a rule has no command left.
    """
    check_cells(cells, rules)
    generator = np.random.default_rng([seed, 3])
    held = _held(rules, generator)
    known = np.zeros(len(commands()), dtype=np.bool_)
    known[parts.train] = True
    drawn = generator.random((len(rules), len(known)))
    unseen = np.where(drawn < HELD_PAIRS, 1 + (drawn < HELD_PAIRS / 2), 0).astype(np.int8)
    for rule, word in cells:
        unseen[np.ix_(_with(rule, rules), _saying(word))] = 2
    unseen[0] = 0
    unseen[held] = 0
    unseen[:, ~known] = 0
    trained = known & (unseen == 0) & ~held[:, None]
    for place in np.flatnonzero(~held & ~trained.any(1)).tolist():
        name = "+".join(part.name for part in rules[place])
        raise ConfigError(f"cells: they leave {name} no command to be trained on")
    return RuleTasks(held, trained, unseen, parts)


def _held(rules: Sequence[Combination], generator: np.random.Generator) -> Mask:
    """Draws the combinations that are held out, bool [rules]."""
    several = [place for place, rule in enumerate(rules) if len(rule) > 1]
    left = Counter(part.name for place in several for part in rules[place])
    held = np.zeros(len(rules), dtype=np.bool_)
    for place in generator.permutation(several).tolist():
        names = [part.name for part in rules[place]]
        if held.sum() < round(HELD_RULES * len(several)) and all(left[name] > 1 for name in names):
            held[place] = True
            left.subtract(names)
    return held


def check_cells(cells: Sequence[tuple[str, str]], rules: Sequence[Combination]) -> None:
    """Checks pairs of a single rule and a word.

    Raises:
        ConfigError: beginning with `cells`, for a rule that is not among `rules`, or for a word
            that is none.
    """
    known = sorted({part.name for rule in rules for part in rule})
    for name, word in cells:
        if name not in known:
            near = did_you_mean(name, known) or f"there are {', '.join(known) or 'none'}"
            raise ConfigError(f"cells: no rule {name!r} is used; {near}")
        if word not in WORDS:
            near = did_you_mean(word, WORDS) or f"there are {', '.join(WORDS)}"
            raise ConfigError(f"cells: no word {word!r}; {near}")


def _with(name: str, rules: Sequence[Combination]) -> Mask:
    """Tells which combinations hold a rule, bool [rules]."""
    return np.array([any(part.name == name for part in rule) for rule in rules])


def _saying(word: str) -> Mask:
    """Tells which commands hold a word, bool [commands]."""
    return np.array([word in command for command in commands()])
