"""The list of rules, and which of them are trained and which held out."""

from __future__ import annotations

import numpy as np
import pytest

from tests.trainables.grids.rules.drawing import mixture
from trainables.grids.rules import composition
from trainables.grids.rules.registry import FAMILIES, HELD_FAMILIES, HELD_MEMBERS, RULES, TRAINED, held_out, training
from trainables.grids.rules.rule import same


def test_there_are_many_rules_of_many_families() -> None:
    assert len(RULES) == 291
    assert len(FAMILIES) == 43
    assert all(name == rule.name for name, rule in RULES.items())
    counts = {family: sum(rule.family == family for rule in RULES.values()) for family in FAMILIES}
    assert counts["recolour"] == 40
    assert counts["composition"] == len(composition.STEPS) == 46


def test_no_two_rules_are_one_function() -> None:
    answers: dict[tuple[bytes, ...], str] = {}
    for name, rule in RULES.items():
        key = tuple(bytes(answer.shape) + answer.tobytes() for answer in map(rule.answer, mixture()[::3]))
        assert key not in answers, f"{name} is {answers[key]}"
        answers[key] = name


@pytest.mark.parametrize("count", [1, 4, 8, 12, 16, 30, 40])
def test_training_takes_the_first(count: int) -> None:
    rules = training(count)
    assert tuple(rule.name for rule in rules) == TRAINED[:count] == tuple(RULES)[:count]
    assert held_out(count) == held_out(1)
    assert not set(rules) & set(held_out(count))


def test_the_first_rules_are_of_different_families() -> None:
    families = [rule.family for rule in training(40)]
    assert len(set(families[:4])) == 4
    assert len(set(families[:8])) == 7  # recolouring is there twice
    assert len(set(families[:12])) == 9
    assert len(set(families[:30])) >= 20


def test_members_are_of_trained_families_and_the_others_of_none() -> None:
    trained = [rule.family for rule in training(40)]
    early = {rule.family for rule in training(29)}
    assert {RULES[name].family for name in HELD_MEMBERS} <= early
    assert not {RULES[name].family for name in HELD_FAMILIES} & set(trained)
    parts = [RULES[part] for steps in composition.STEPS for part in steps if " then ".join(steps) in TRAINED]
    assert len(parts) == 4
    assert not {rule.family for rule in parts} & {RULES[name].family for name in HELD_FAMILIES}
    assert len(held_out(12)) == len(HELD_MEMBERS) + len(HELD_FAMILIES) == 20


@pytest.mark.parametrize("name", [*HELD_MEMBERS, *HELD_FAMILIES])
def test_no_trained_rule_answers_for_one_that_is_held_out(name: str) -> None:
    generator = np.random.default_rng(8)
    pairs = [RULES[name].pair(generator, 3, 5) for _ in range(40)]
    for rule in training(40):
        agreed = sum(same(rule.answer(given), answer) for given, answer in pairs)
        assert agreed <= 10, f"{rule.name} answers {agreed} of {len(pairs)}"


@pytest.mark.parametrize("count", [0, 41, -1])
def test_other_counts_are_refused(count: int) -> None:
    for listed in (training, held_out):
        with pytest.raises(ValueError, match=rf"^count: from 1 to 40 \(got {count}\)"):
            listed(count)


def test_both_steps_of_a_composition_show() -> None:
    generator = np.random.default_rng(9)
    for first, second in composition.STEPS:
        for _ in range(5):
            given, answer = RULES[f"{first} then {second}"].pair(generator, 3, 6)
            between = RULES[first].answer(given)
            assert same(answer, RULES[second].answer(between))
            assert not same(given, between)
            assert not same(between, answer)
            assert not same(answer, RULES[second].answer(given))
