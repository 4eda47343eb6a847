"""The race of finalists: who gets the next run, and who is ahead."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import numpy as np
import pytest

from leadline.ledger.race import Racer, needed, next_runner


def _raced(racers: list[Racer], truth: Callable[[int], float], paid: int, replicates: int, at_once: int = 1) -> None:
    """Runs a race to its end, so many runs at a time."""
    running: list[int] = []
    while True:
        chosen = next_runner(racers, paid, replicates)
        assert (chosen is None) == (needed(racers, paid, replicates) == 0)
        if chosen is not None:
            racers[chosen] = dataclasses.replace(racers[chosen], running=racers[chosen].running + 1)
            running.append(chosen)
        elif not running:
            return
        if chosen is None or len(running) == at_once:
            ended = running.pop(0)
            one = racers[ended]
            racers[ended] = dataclasses.replace(one, runs=(*one.runs, truth(ended)), running=one.running - 1)


def test_of_no_finalists_none_runs() -> None:
    assert next_runner([], 10, 5) is None


def test_one_finalist_gets_all_runs() -> None:
    for at_once in (1, 3, 10):
        racers = [Racer(0.5)]
        _raced(racers, lambda place: 9.0, 5, 5, at_once)
        assert racers[0].held == 5


def test_the_first_runs_go_to_the_two_best_of_the_search_in_turn() -> None:
    racers = [Racer(0.1), Racer(0.2), Racer(0.9)]
    assert next_runner(racers, 10, 5) == 0
    racers[0] = dataclasses.replace(racers[0], running=1)
    assert next_runner(racers, 10, 5) == 1


def test_a_winner_by_luck_falls_behind() -> None:
    """The search's first turns out to be no better than the others, whose own runs are better."""
    racers = [Racer(0.1), Racer(0.3), Racer(0.6), Racer(0.7)]
    _raced(racers, lambda place: [0.5, 0.3, 0.6, 0.7][place], 10, 5)
    assert min(racers, key=lambda racer: racer.mean) is racers[1]
    assert len(racers[1].runs) >= 5
    assert sum(racer.held for racer in racers) == 10
    assert racers[3].held == 0, "the last of the search is too far behind for a run"


def test_where_the_last_run_puts_another_ahead_it_gets_its_own() -> None:
    racers = [Racer(0.1), Racer(0.2)]
    _raced(racers, lambda place: 0.2 if place else (0.1 if racers[0].held < 5 else 9.0), 5, 5)
    assert [len(racer.runs) for racer in racers] == [5, 5]


@pytest.mark.parametrize("confirm", [2, 3, 4])
@pytest.mark.parametrize("replicates", [1, 3, 5])
@pytest.mark.parametrize("at_once", [1, 4, 100])
def test_the_one_ahead_has_all_its_runs_whatever_they_show(confirm: int, replicates: int, at_once: int) -> None:
    paid = confirm * replicates
    for seed in range(20):
        generator = np.random.default_rng([seed, confirm, replicates])
        racers = [Racer(float(value)) for value in np.sort(generator.normal(size=2 * confirm))]
        _raced(racers, lambda place, draw=generator: float(draw.normal(size=1)[0]), paid, replicates, at_once)  # type: ignore[misc]
        ahead = min(racers, key=lambda racer: racer.mean)
        assert len(ahead.runs) >= replicates
        assert paid <= sum(racer.held for racer in racers) <= 2 * paid


def test_who_has_lost_a_run_gets_no_more() -> None:
    racers = [Racer(0.1, (math.inf,)), Racer(0.2), Racer(0.3)]
    assert next_runner(racers, 10, 5) == 1
    racers = [Racer(0.1), Racer(0.2)]
    _raced(racers, lambda place: math.inf, 10, 5)
    assert [racer.held for racer in racers] == [5, 1], "what was asked for one is made all the same"
