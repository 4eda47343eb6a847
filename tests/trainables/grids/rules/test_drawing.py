"""Inputs of rules: where they lie, how they vary, and that what a rule speaks of is there."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from trainables.grids.rules.objects import enclosed, lonely, objects
from trainables.grids.rules.registry import RULES
from trainables.grids.rules.rule import Grid, Rule, same

LARGER = {"mirror", "tile", "scale", "frame"}  # families whose answers are larger than their inputs


@pytest.mark.parametrize("name", RULES)
def test_inputs_vary(name: str) -> None:
    generator = np.random.default_rng(1)
    drawn = [RULES[name].draw(generator, 5, 5) for _ in range(250)]
    # Of n inputs that are equally likely, k draws repeat about k * k / 2n: so n is above 1,000.
    assert len({(cells.shape, cells.tobytes()) for cells in drawn}) >= 225


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize(("least", "most"), [(3, 3), (3, 5), (6, 9)])
def test_pairs_fit(name: str, least: int, most: int) -> None:
    rule, generator = RULES[name], np.random.default_rng(2)
    for _ in range(5):
        given, answer = rule.pair(generator, least, most)
        for cells in (given, answer):
            assert cells.dtype == np.uint8
            assert cells.ndim == 2
            assert max(cells.shape) <= most
            assert cells.max() <= 9
        assert min(given.shape) >= least or rule.family in LARGER
        assert not same(given, answer)
        assert answer.any()
        assert same(answer, rule.answer(given))
        assert rule.shows(given)


def test_sides_are_all_drawn() -> None:
    generator = np.random.default_rng(3)
    drawn = {RULES["flip left-right"].draw(generator, 3, 5).shape for _ in range(300)}
    assert drawn == {(height, width) for height in (3, 4, 5) for width in (3, 4, 5)}


def test_colours_are_all_drawn() -> None:
    generator = np.random.default_rng(4)
    for name in ("flip left-right", "recolour 0", "keep the largest object", "fill 2", "cross", "tile right"):
        seen = {colour for _ in range(200) for colour in RULES[name].draw(generator, 5, 5).tobytes()}
        assert seen == set(range(10)), name


@pytest.mark.parametrize("name", list(RULES)[::9])
def test_draws_depend_on_the_generator_alone(name: str) -> None:
    def pairs(seed: int) -> list[tuple[bytes, bytes]]:
        generator = np.random.default_rng(seed)
        drawn = [RULES[name].pair(generator, 3, 6) for _ in range(5)]
        return [(given.tobytes(), answer.tobytes()) for given, answer in drawn]

    assert pairs(7) == pairs(7)
    assert pairs(7) != pairs(8)


def _ranked(sizes: list[int], first: Callable[[list[int]], int]) -> bool:
    return len(sizes) > 1 and sizes.count(first(sizes)) == 1


@pytest.mark.parametrize("family", ["object", "crop object", "paint object", "composition"])
def test_the_object_that_is_spoken_of_is_the_only_one(family: str) -> None:
    rules = [rule for rule in RULES.values() if rule.family == family and " object" in rule.name]
    assert len(rules) > 1
    for rule, given in _drawn(rules):
        sizes = [len(places) for places in objects(given)]
        assert _ranked(sizes, min if "smallest" in rule.name else max)


def test_the_colour_that_is_spoken_of_is_the_only_one() -> None:
    rules = [rule for rule in RULES.values() if "frequent" in rule.name]
    assert len(rules) == 7
    for rule, given in _drawn(rules):
        counts = [int((given == colour).sum()) for colour in range(1, 10)]
        assert _ranked([count for count in counts if count], min if "least" in rule.name else max)


@pytest.mark.parametrize(
    ("family", "there"),
    [
        ("fill", lambda given: enclosed(given).any()),
        ("denoise", lambda given: lonely(given).any() and (given[~lonely(given)] != 0).any()),
        ("keep", lambda given: len(set(given.tobytes()) - {0}) > 1),
        ("without border", lambda given: len(set(given[0]) | set(given[-1])) == 1 and given[0, 0] != 0),
    ],
)
def test_what_a_family_speaks_of_is_there(family: str, there: Callable[[Grid], bool]) -> None:
    rules = [rule for rule in RULES.values() if rule.family == family]
    assert rules
    assert all(there(given) for _, given in _drawn(rules))


@pytest.mark.parametrize("name", [name for name, rule in RULES.items() if rule.family in ("replace", "swap")])
def test_the_colours_that_are_named_are_there(name: str) -> None:
    rule = RULES[name]
    named = [int(word) for word in rule.name.split() if word.isdigit()]
    needed = named if rule.family == "swap" else named[:1]
    assert all(colour in given for _, given in _drawn([rule]) for colour in needed)


def _drawn(rules: list[Rule]) -> list[tuple[Rule, Grid]]:
    generator = np.random.default_rng(6)
    return [(rule, rule.draw(generator, 3, 6)) for rule in rules for _ in range(20)]


def test_two_demonstrations_show_nearly_the_whole_permutation() -> None:
    generator = np.random.default_rng(7)
    unseen = 0
    for _ in range(100):
        first, second, query = (RULES["recolour 0"].draw(generator, 5, 5) for _ in range(3))
        unseen += bool(set(query.tobytes()) - set(first.tobytes()) - set(second.tobytes()) - {0})
    assert unseen == 0  # 25 cells of which 17 or more are coloured have all nine colours


@pytest.mark.parametrize(("least", "most"), [(2, 5), (6, 5), (0, 0)])
def test_sides_out_of_order_are_refused(least: int, most: int) -> None:
    with pytest.raises(ValueError, match=rf"^least: from 3 to most, which is {most} \(got {least}\)"):
        RULES["flip left-right"].pair(np.random.default_rng(0), least, most)


def test_a_rule_that_never_shows_is_an_error() -> None:
    still = Rule("still", "still", lambda cells: cells.copy(), RULES["fall down"].scene)
    with pytest.raises(AssertionError, match="still shows on none"):
        still.pair(np.random.default_rng(0), 3, 5)
