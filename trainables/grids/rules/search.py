"""An oracle that knows all rules: the first that explains the demonstrations answers.

What it gets wrong the demonstrations leave open, so that no other answer is more than a guess. Over
all rules, with two demonstrations of sides 5, that is 1 task in 70, and 1 in 27 is ambiguous.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from trainables.grids.rules.registry import RULES
from trainables.grids.rules.rule import Grid, Rule, same

__all__ = ["Demonstration", "ambiguous", "consistent", "solve"]

Demonstration = tuple[Grid, Grid]
"""An input and its answer."""


def consistent(demonstrations: Sequence[Demonstration]) -> Iterator[Rule]:
    """Finds the rules, in order, whose answers agree with all demonstrations.

    Raises:
        ValueError: beginning with `demonstrations`, if there is none.
    """
    if not demonstrations:
        raise ValueError("demonstrations: at least one (got none)")
    for rule in RULES.values():
        if all(same(rule.answer(grid), answer) for grid, answer in demonstrations):
            yield rule


def solve(demonstrations: Sequence[Demonstration], query: Grid) -> Grid | None:
    """Answers a query by the first rule that agrees with all demonstrations; None if none does.

    Raises:
        ValueError: beginning with `demonstrations`, if there is none.
    """
    rule = next(consistent(demonstrations), None)
    return None if rule is None else rule.answer(query)


def ambiguous(demonstrations: Sequence[Demonstration], query: Grid) -> bool:
    """Tells whether two rules agree with all demonstrations and differ on the query.

    Raises:
        ValueError: beginning with `demonstrations`, if there is none.
    """
    answers = (rule.answer(query) for rule in consistent(demonstrations))
    first = next(answers, None)
    return first is not None and any(not same(first, answer) for answer in answers)
