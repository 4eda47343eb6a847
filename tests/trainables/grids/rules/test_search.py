"""The oracle: it explains what it is shown, and errs only where two rules explain it."""

from __future__ import annotations

import numpy as np
import pytest

from tests.trainables.grids.rules.drawing import grid, text
from trainables.grids.rules.registry import RULES
from trainables.grids.rules.rule import same
from trainables.grids.rules.search import ambiguous, consistent, solve


def test_two_demonstrations_are_enough_nearly_always() -> None:
    generator = np.random.default_rng(10)
    wrong = []
    for rule in RULES.values():
        *demonstrations, (query, answer) = (rule.pair(generator, 5, 5) for _ in range(3))
        found = solve(demonstrations, query)
        assert found is not None
        if not same(found, answer):
            wrong.append(rule.name)
            assert ambiguous(demonstrations, query)
    assert len(wrong) <= 0.04 * len(RULES), wrong


def test_few_tasks_are_ambiguous() -> None:
    generator = np.random.default_rng(11)
    unclear = []
    for rule in list(RULES.values())[::4]:
        *demonstrations, (query, _) = (rule.pair(generator, 5, 5) for _ in range(3))
        if ambiguous(demonstrations, query):
            unclear.append(rule.name)
    assert len(unclear) <= 0.1 * len(RULES) / 4, unclear


def test_the_first_rule_in_order_answers() -> None:
    shown = [(grid("12"), grid("21"))]  # a flip, and also a swap, a shift, ...
    names = [rule.name for rule in consistent(shown)]
    assert names[0] == "flip left-right"
    assert {"swap 1 and 2", "shift right 1", "rotate 180"} <= set(names)
    assert names == [name for name in RULES if name in names]
    answer = solve(shown, grid("130"))
    assert answer is not None
    assert text(answer) == "031"
    assert ambiguous(shown, grid("130"))
    assert not ambiguous(shown, grid("12"))


def test_what_no_rule_explains_has_no_answer() -> None:
    shown = [(grid("120/000"), grid("123/456"))]
    assert list(consistent(shown)) == []
    assert solve(shown, grid("1")) is None
    assert not ambiguous(shown, grid("1"))


def test_every_demonstration_counts() -> None:
    first, second = (grid("12"), grid("21")), (grid("103"), grid("301"))
    assert "swap 1 and 2" in [rule.name for rule in consistent([first])]
    assert "swap 1 and 2" not in [rule.name for rule in consistent([first, second])]
    assert "flip left-right" in [rule.name for rule in consistent([first, second])]


def test_no_demonstrations_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^demonstrations: at least one"):
        solve([], grid("1"))
    with pytest.raises(ValueError, match=r"^demonstrations: at least one"):
        ambiguous([], grid("1"))
