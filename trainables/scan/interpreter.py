"""What commands mean: the grammar's interpreter, and the same with changed rules.

A rule replaces meanings in the interpreter, so that the answer to every command under every rule is
exact. Rules that apply together are applied in this order:

1. The meanings of words are replaced, all at once, each from the grammar's own: under `jump->walk`
   and `walk->run` together, "jump" is WALK and "walk" is RUN.
2. Sentences are built from those meanings, repeated and joined.
3. Where a rule reverses directions, every turn of the finished answer is reversed, also one that a
   replaced meaning has brought in.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Literal

from trainables.scan.grammar import ACTIONS, CONJUNCTIONS, COUNTS, SIDES, TURN, VERBS, read

__all__ = ["LEFT", "RIGHT", "Lexicon", "Rule", "interpret", "lexicon", "sentence"]

Kind = Literal["swap", "rewrite", "structure"]
Answer = tuple[str, ...]
LEFT, RIGHT = ACTIONS[4:]
_REVERSED: Final = MappingProxyType({LEFT: RIGHT, RIGHT: LEFT})


@dataclass(frozen=True)
class Rule:
    """A change of the grammar's meanings.

    Attributes:
        name: as a configuration names it.
        kind: `swap`: words mean what others mean; `rewrite`: a verb means other actions;
            `structure`: how often, or in which direction.
        words: the words that it touches; rules that share one cannot be combined.
        means: the actions that verbs and sides mean instead.
        counts: how often `twice` and `thrice` repeat instead.
        reverses: whether every turn of the finished answer is reversed.
    """

    name: str
    kind: Kind
    words: tuple[str, ...]
    means: Mapping[str, Answer] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    reverses: bool = False


@dataclass(frozen=True)
class Lexicon:
    """The meanings of words under some rules.

    Attributes:
        means: actions of verbs and sides.
        counts: repetitions of `twice` and `thrice`.
        reverses: whether turns are reversed in the end.
    """

    means: Mapping[str, Answer]
    counts: Mapping[str, int]
    reverses: bool = False


_MEANS: Final = dict(zip((*VERBS, *SIDES), ((action,) for action in ACTIONS), strict=True)) | {TURN: ()}
BASE: Final = Lexicon(MappingProxyType(_MEANS), MappingProxyType({"twice": 2, "thrice": 3}))


def lexicon(rules: Iterable[Rule] = ()) -> Lexicon:
    """Returns the meanings under rules that touch different words; their order does not matter."""
    means, counts, reverses = dict(BASE.means), dict(BASE.counts), BASE.reverses
    for rule in rules:
        means |= rule.means
        counts |= rule.counts
        reverses |= rule.reverses
    return Lexicon(means, counts, reverses)


def sentence(words: Sequence[str], known: Lexicon) -> Answer:
    """Returns the actions of one sentence, which holds no `and` or `after`."""
    times = known.counts[words[-1]] if words[-1] in COUNTS else 1
    phrase = words[:-1] if words[-1] in COUNTS else words
    act = known.means[phrase[0]]
    turn = known.means[phrase[-1]] if len(phrase) > 1 else ()
    turns, repeats = (2, 1) if "opposite" in phrase else (1, 4 if "around" in phrase else 1)
    once = (turn * turns + act) * repeats
    answer = once * times
    return tuple(_REVERSED.get(action, action) for action in answer) if known.reverses else answer


def interpret(command: str | Sequence[str], rules: Iterable[Rule] = ()) -> Answer:
    """Returns the actions that a command means.

    Args:
        command: a text such as "jump twice", or its words.
        rules: the rules that are changed, together; none for the grammar's own answer.

    Raises:
        ConfigError: beginning with `command`, if the grammar does not make it.
    """
    words = read(command)
    known = lexicon(rules)
    place = next((place for place, word in enumerate(words) if word in CONJUNCTIONS), None)
    if place is None:
        return sentence(words, known)
    first, second = sentence(words[:place], known), sentence(words[place + 1 :], known)
    return first + second if words[place] == "and" else second + first
