"""When to stop searching: what more trials are expected to bring, and what could be told apart."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest

from leadline.analysis.report import answers
from leadline.config import ConfigError
from leadline.engine import options
from leadline.ledger import leaderboard
from leadline.ledger.events import Proposed
from leadline.ledger.history import History
from leadline.ledger.settings import Settings
from leadline.ledger.worth import LEAST_FINISHED, LEAST_RUNS, worth
from leadline.measure import Measure, Report
from leadline.statistics import expected_gain
from tests.leadline.engine.test_director import BASE, Simulation
from tests.leadline.ledger_audit import violations
from tests.leadline.toy_study import STUDY

ASKED = dataclasses.replace(BASE, trials=60, scheduler="none", confirm=1, replicates=3)


class Noisy(Simulation):
    """Trials whose value is their `offset` with an error of a tenth that follows from their seed and number."""

    noise = 0.1

    def report(self, assignment: Any, step: int) -> Report:
        error = np.random.default_rng([assignment.trial, 7]).normal()
        value = assignment.config["offset"] + self.noise * error
        metrics = {"validation/error": Measure(value, 4, value, value)}
        if assignment.test and step == assignment.config["steps"]:
            metrics["test/error"] = Measure(
                value, 4, value - 0.1, value + 0.1, tuple(value + i / 100 for i in range(4))
            )
        return Report(step, step, float(step), 0.0, metrics)


class Quiet(Noisy):
    """The same with hardly an error."""

    noise = 1e-6


@pytest.mark.parametrize(("scatter", "drawn"), [(0.0, "normal"), (0.5, "normal"), (0.0, "exponential")])
def test_the_expected_gain_is_the_mean_gain_of_what_follows(scatter: float, drawn: str) -> None:
    """Of 1,000 searches among values without an end, or with one, some of which scatter by themselves."""
    generator = np.random.default_rng(0)
    told, gained = [], []
    for _ in range(1000):
        truth = getattr(generator, drawn)(size=40)
        seen = truth + scatter * generator.normal(size=40)
        before, after = (int(np.argmin(seen[:end])) for end in (30, 40))
        told.append(expected_gain(list(seen[:30]), 10, scatter))
        gained.append(truth[before] - truth[after])
    error = np.std(gained) / math.sqrt(1000)
    assert np.mean(told) == pytest.approx(np.mean(gained), abs=3 * error)


def test_a_gain_is_smaller_where_fewer_finish_and_none_where_all_is_scatter() -> None:
    values = [0.1, 0.4, 0.5, 0.9, 1.3]
    whole, part = (expected_gain(values, more) for more in (10, 2.5))
    assert whole > 1.5 * part > 0
    assert expected_gain(values, 10, scatter=0.5) == 0.0
    assert expected_gain([0.1, 0.1, 0.1, 0.1, 0.9, 1.0], 10) < 0.01, "most are at the end already"


def test_the_search_ends_where_it_brings_less_than_was_asked() -> None:
    events = Quiet(dataclasses.replace(ASKED, until=0.1)).run().events
    history = History.of(events)
    assert LEAST_FINISHED * 2 <= len(history.search_trials()) < 60
    reasons = {trial.reason for trial in history.search_trials() if trial.status == "stopped"}
    assert all("more trials are expected to bring at most" in reason for reason in reasons)
    assert violations(events) == []
    assert leaderboard.board(history, "toy")["confirmed"], "finalists are confirmed all the same"
    assert len(History.of(Quiet(dataclasses.replace(ASKED, until=1e-6)).run().events).search_trials()) == 60


def test_told_asks_for_the_scatter_of_seeds_before_it_ends_the_search() -> None:
    settings = dataclasses.replace(ASKED, until="told")
    simulation = Noisy(settings).run()
    history = History.of(simulation.events)
    assert len(history.search_trials()) < 60
    assert simulation.director.stopping.endswith("less than the confirmation can tell apart")
    last = max(trial.number for trial in history.search_trials())
    early = [e for e in simulation.events if isinstance(e, Proposed) and e.kind == "replicate" and e.trial < last]
    assert [sum(one.stratum == stratum for one in early) for stratum in "12"] == [LEAST_RUNS] * 2
    assert violations(simulation.events) == []
    for stratum in "12":
        found = worth(history, stratum)
        assert found
        assert found.gain < found.detectable
        words = answers.more(history, stratum)
        assert words.startswith("10 more trials are expected to bring ")
        assert words.endswith("they would bring nothing that it could see.")


@pytest.mark.parametrize("cut", [20, 45, 70, 100])
def test_a_sweep_that_is_cut_ends_its_search_as_its_ledger_says(cut: int) -> None:
    settings = dataclasses.replace(ASKED, until="told")
    before = Noisy(settings).run(cut).events[:cut]
    assert violations(Noisy(settings, seed=1, past=before).run().events) == []


def test_nothing_is_told_where_too_few_have_finished() -> None:
    history = History.of(Noisy(dataclasses.replace(ASKED, trials=6)).run().events)
    assert worth(history, "1") is None
    assert answers.more(history, "1") == ""


def test_the_option() -> None:
    def chosen(*words: str) -> Settings:
        return options.settings(STUDY, options.parse(STUDY, words, ""))

    assert (chosen().until, chosen("--until", "told").until, chosen("--until", "0.01").until) == (None, "told", 0.01)
    for word in ("soon", "-1", "0", "nan"):
        with pytest.raises(ConfigError, match=r"^until: "):
            chosen(f"--until={word}")
