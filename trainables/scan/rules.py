"""The changed rules: the log's eleven as it describes them, three two-way swaps, and their pairs.

The log edits texts: its `twice and thrice are swapped` and `twice means once` leave the answer as
it was, its `look means turn` writes an action that there is not, and its swaps change the command
as well (modification_generator.py of github fergusmeiklejohn/neural_networks_research, bb56941).
Here a rule changes the interpreter, see `trainables.scan.interpreter`.

Alone, `left<->right` and `reversed` give the same answers. They differ where another rule brings in
turns of its own: under `jump=turn_left*4+reversed` "jump" is four right turns.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final, Literal

from leadline.config import ConfigError, did_you_mean
from trainables.scan.grammar import ACTIONS, read
from trainables.scan.interpreter import LEFT, RIGHT, Rule, interpret

__all__ = [
    "BASE",
    "DEFAULT",
    "GROUPS",
    "MOST",
    "RULES",
    "Combination",
    "changes",
    "combination",
    "group",
    "pairs",
    "token",
]

Combination = tuple[Rule, ...]
"""Rules that apply together; none of them for the grammar as it is."""
GroupName = Literal["base", "simple", "complex", "novel"]
GROUPS: Final[tuple[GroupName, ...]] = ("base", "simple", "complex", "novel")
"""The grammar as it is; one swap; one rewrite or change of structure; several rules together."""
BASE: Final = "base"
MOST: Final = 2
"""The most rules that apply together."""

WALK, LOOK, RUN, JUMP = ACTIONS[:4]
_INVENTORY: Final = (
    Rule("jump->walk", "swap", ("jump",), {"jump": (WALK,)}),
    Rule("walk->run", "swap", ("walk",), {"walk": (RUN,)}),
    Rule("run->jump", "swap", ("run",), {"run": (JUMP,)}),
    Rule("look->turn_left", "swap", ("look",), {"look": (LEFT,)}),
    Rule("left<->right", "swap", ("left", "right"), {"left": (RIGHT,), "right": (LEFT,)}),
    Rule("twice<->thrice", "swap", ("twice", "thrice"), counts={"twice": 3, "thrice": 2}),
    Rule("jump=turn_left*4", "rewrite", ("jump",), {"jump": (LEFT,) * 4}),
    Rule("look=walk,turn_left*2,walk", "rewrite", ("look",), {"look": (WALK, LEFT, LEFT, WALK)}),
    Rule("run=walk*2", "rewrite", ("run",), {"run": (WALK, WALK)}),
    Rule("reversed", "structure", ("left", "right"), reverses=True),
    Rule("twice=once", "structure", ("twice",), counts={"twice": 1}),
    Rule("jump<->walk", "swap", ("jump", "walk"), {"jump": (WALK,), "walk": (JUMP,)}),
    Rule("walk<->run", "swap", ("walk", "run"), {"walk": (RUN,), "run": (WALK,)}),
    Rule("run<->jump", "swap", ("run", "jump"), {"run": (JUMP,), "jump": (RUN,)}),
)
RULES: Final[Mapping[str, Rule]] = MappingProxyType({rule.name: rule for rule in _INVENTORY})
"""All single rules by name."""
DEFAULT: Final = tuple(rule.name for rule in _INVENTORY[:11])
"""The names of the log's eleven: six swaps, three rewrites, two of structure."""


def token(rule: Rule) -> int:
    """Returns the id by which a network is told of a rule, from 1; 0 stands for no rule."""
    return list(RULES).index(rule.name) + 1


def combination(name: str) -> Combination:
    """Returns the rules of a name such as `base`, `twice=once` or `left<->right+twice<->thrice`.

    Raises:
        ConfigError: beginning with `rules`, for a name that is no rule, for more rules than apply
            together, or rules of which two touch one word and so cannot.
    """
    if name == BASE:
        return ()
    found = []
    for part in name.split("+"):
        if part not in RULES:
            known = did_you_mean(part, RULES) or f"there are {', '.join(RULES)}, and several joined by +"
            raise ConfigError(f"rules: no rule {part!r}; {known}")
        found.append(RULES[part])
    for one, other in itertools.combinations(found, 2):
        shared = set(one.words) & set(other.words)
        if shared:
            raise ConfigError(f"rules: {one.name} and {other.name} both change {min(shared)!r}, so they cannot combine")
    if len(found) > MOST:
        raise ConfigError(f"rules: at most {MOST} apply together (got {name})")
    # In one order, so that a combination is the same however it is written.
    return tuple(sorted(found, key=token))


def pairs(names: Iterable[str]) -> tuple[str, ...]:
    """Returns the names of all pairs of single rules that touch different words, in order."""
    two = itertools.combinations([RULES[name] for name in names], 2)
    return tuple(f"{one.name}+{other.name}" for one, other in two if not set(one.words) & set(other.words))


def group(rules: Combination) -> GroupName:
    """Returns the group that a combination belongs to."""
    if len(rules) != 1:
        return "novel" if rules else "base"
    return "simple" if rules[0].kind == "swap" else "complex"


def changes(rules: Combination, command: str | Sequence[str]) -> bool:
    """Tells whether rules change the answer to a command.

    Raises:
        ConfigError: beginning with `command`, if the grammar does not make it.
    """
    words = read(command)
    return interpret(words, rules) != interpret(words)
