"""What finalists' replicates say, from histories made by hand."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, Literal

import numpy as np
import pytest

from leadline.finding import Finding
from leadline.ledger import leaderboard
from leadline.ledger.confirmed import confirmation, counts, luck, versus
from leadline.ledger.history import Baseline, History, Trial
from leadline.ledger.verdicts import Verdict
from leadline.measure import Measure, Report
from leadline.statistics import best_by_luck, mean_over_units
from tests.leadline.engine.test_director import BASE

SHARE = (0.0, 1.0)


def report(step: int = 9, findings: tuple[Finding, ...] = (), **metrics: Measure) -> Report:
    named = {name.replace("_", "/", 1): measure for name, measure in metrics.items()}
    return Report(step, step, float(step), 0.0, named, findings=findings)


def sweep(
    scores: list[Measure], validation: list[float] | None = None, found: float = 0.3, mode: str = "min", **others: Any
) -> History:
    """A history of one finished trial at validation `found`, with a replicate for each test score."""
    history = History(dataclasses.replace(BASE, strata=(1,), stratify=None, confirm=1, replicates=max(1, len(scores))))
    history.opened = dataclasses.replace(history.settings, mode="max" if mode == "max" else "min")
    config = {"seed": 1}
    history.trials[0] = Trial(
        0, "1", "search", None, {}, config, "finished", reports=[report(validation_error=Measure.exact(found, 9))]
    )
    for index, score in enumerate(scores):
        seen = Measure.exact(validation[index] if validation else found, 9)
        extra = {name: measures[index] for name, measures in others.items()}
        run = report(validation_error=seen, test_error=score, **extra)
        history.trials[index + 1] = Trial(
            index + 1, "1", "replicate", 0, {}, {"seed": 10 + index}, "finished", reports=[run]
        )
    return history


def units(generator: np.random.Generator, runs: int, n: int, shift: float = 0.0) -> tuple[list[Measure], np.ndarray]:
    """Scores whose units spread a hundred times as much as their difference from the returned ones."""
    rows = 10 * generator.normal(size=n)
    return [mean_over_units(rows + shift + 0.02 * generator.normal(size=n)) for _ in range(runs)], rows


@pytest.mark.parametrize(
    ("shift", "mode", "word"),
    [(-0.05, "min", Verdict.BETTER), (-0.05, "max", Verdict.WORSE), (0.05, "min", Verdict.WORSE)],
)
def test_a_predictor_on_the_same_units_is_told_apart_by_a_difference_that_the_units_hide(
    shift: float, mode: Literal["min", "max"], word: Verdict
) -> None:
    scores, rows = units(np.random.default_rng(1), 5, 120, shift)
    history = sweep(scores, mode=mode)
    found = versus(history, history.trials[0], Baseline("line", "1", {"test/error": mean_over_units(rows)}))
    assert found is not None
    assert found.difference is not None
    assert found.difference.low < shift < found.difference.high
    assert (found.verdict, found.missing) == (word, "")
    old = versus(
        history, history.trials[0], Baseline("line", "1", {"test/error": Measure(float(rows.mean()), 120, -2, 2)})
    )
    assert old is not None
    assert (old.verdict, old.difference) == (Verdict.NOT_TOLD_APART, None)


@pytest.mark.parametrize(
    ("runs", "n", "missing"),
    [(4, 120, "only 4 of 5 replicates"), (5, 60, "only 60 test rows where 100 are needed"), (5, 100, "")],
    ids=["replicates", "units", "enough"],
)
def test_nothing_is_claimed_from_too_little(runs: int, n: int, missing: str) -> None:
    scores, rows = units(np.random.default_rng(2), runs, n, -0.5)
    history = sweep(scores)
    found = versus(
        history, history.trials[0], Baseline("line", "1", {"test/error": mean_over_units(rows)}), unit="rows"
    )
    assert found is not None
    assert found.missing == missing
    assert found.ahead == "A"
    assert found.verdict is (Verdict.NO_CLAIM if missing else Verdict.BETTER)


@pytest.mark.parametrize(
    ("status", "value", "missing"),
    [
        ("failed", 0.0, "replicate 6 failed"),
        ("stopped", 0.0, "replicate 6 was stopped"),
        ("running", 0.0, "replicate 6 is still running"),
        ("finished", math.nan, "the score of replicate 6 is not finite"),
    ],
)
def test_nothing_is_claimed_from_the_replicates_that_were_left(status: Any, value: float, missing: str) -> None:
    scores, rows = units(np.random.default_rng(2), 6, 120, -0.5)
    line = Baseline("line", "1", {"test/error": mean_over_units(rows)})
    history = sweep(scores)
    whole = versus(history, history.trials[0], line)
    assert whole is not None
    assert whole.verdict is Verdict.BETTER
    history.trials[6].status = status
    history.trials[6].reports = [report(test_error=mean_over_units(rows + value))]
    found = versus(history, history.trials[0], line)
    assert found is not None
    assert (found.missing, found.verdict) == (missing, Verdict.NO_CLAIM)


def test_every_other_metric_with_units_stands_beside_the_objective() -> None:
    generator = np.random.default_rng(4)
    scores, rows = units(generator, 5, 120, -0.5)
    worse, others = units(generator, 5, 120, 0.5)
    history = sweep(scores, test_misses=worse, test_gain=worse, test_counted=[Measure.exact(3)] * 5)
    modes = {"error": "min", "misses": "min", "gain": "max", "counted": "min", "absent": "min"}
    history.opened = dataclasses.replace(history.settings, modes=modes)
    assert leaderboard.besides(history, history.trials[0]) == []
    measures = {
        "error": mean_over_units(rows),
        "misses": mean_over_units(others),
        "gain": mean_over_units(others),
        "counted": Measure.exact(1),
    }
    history.baselines = [Baseline("line", "1", {f"test/{name}": measure for name, measure in measures.items()})]
    found = leaderboard.besides(history, history.trials[0])
    assert [(one.metric, one.verdict) for one in found] == [("misses", Verdict.WORSE), ("gain", Verdict.BETTER)]


def test_a_predictor_that_was_scored_on_other_rows_is_not_paired() -> None:
    scores, _ = units(np.random.default_rng(3), 5, 120)
    history = sweep(scores)
    found = versus(history, history.trials[0], Baseline("line", "1", {"test/error": mean_over_units([1.0, 2.0, 4.0])}))
    assert found is not None
    assert found.difference is None
    assert versus(history, history.trials[0], Baseline("line", "1", {})) is None


def test_the_predictor_beside_a_finalist_is_the_best_that_is_no_oracle() -> None:
    history = sweep([mean_over_units([1.0, 2.0])] * 2)
    assert leaderboard.versus_trivial(history, history.trials[0]) is None
    values = {"oracle": 0.0, "far": 9.0, "near": 2.0, "broken": math.nan}
    history.baselines = [Baseline(name, "1", {"test/error": Measure.exact(value)}) for name, value in values.items()]
    found = leaderboard.versus_trivial(history, history.trials[0])
    assert found is not None
    assert found.b.label == "near"


def test_no_violation_on_any_unit_leaves_room_for_three() -> None:
    history = sweep([mean_over_units([0.0] * 120, SHARE)] * 5)
    assert confirmation(history, history.trials[0]) == Measure(0.0, 120, 0.0, 0.025)


def test_any_metric_can_be_confirmed_and_exact_counts_have_no_interval() -> None:
    scores = [mean_over_units([1.0, 2.0])] * 3
    shares = [mean_over_units([0.0, 0.5, value], SHARE) for value in (0.1, 0.2, 0.3)]
    logged = [Measure.exact(value, 429) for value in (14, 3, 5)]
    worst = [Measure.exact(value, 429) for value in (math.nan, -2.0, -1.0)]
    never = [Measure.exact(math.nan)] * 3
    history = sweep(scores, test_violations=shares, test_logged=logged, test_worst=worst, test_never=never)
    trial = history.trials[0]
    violations = confirmation(history, trial, "violations")
    assert violations is not None
    assert [violations.value, violations.n] == pytest.approx([0.7 / 3, 3])
    assert confirmation(history, trial, "logged") is None
    assert confirmation(history, trial, "unknown") is None
    found = counts(history, trial)
    assert list(found) == ["logged", "worst"]
    assert vars(found["logged"]) == {"median": 5, "low": 3, "high": 14, "n": 429, "replicates": 3}
    assert vars(found["worst"]) == {"median": -1.5, "low": -2, "high": -1, "n": 429, "replicates": 2}


def test_replicates_that_did_not_finish_say_nothing() -> None:
    history = sweep([mean_over_units([1.0, 2.0]), mean_over_units([5.0, 6.0])], validation=[1.0, 2.0])
    history.trials[2].status = "failed"
    found = confirmation(history, history.trials[0])
    assert found is not None
    assert found.value == 1.5
    assert luck(history, history.trials[0]) is None
    history.trials[1].status = "running"
    assert confirmation(history, history.trials[0]) is None


@pytest.mark.parametrize(("mode", "seen"), [("min", 0.2), ("max", -0.2)])
def test_luck_is_said_on_the_scale_of_the_objective(mode: Literal["min", "max"], seen: float) -> None:
    history = sweep([mean_over_units([1.0, 2.0])] * 3, validation=[0.4, 0.5, 0.6], found=0.3, mode=mode)
    for number, stratum in ((7, "1"), (8, "1"), (9, "2")):
        history.trials[number] = Trial(number, stratum, "search", None, {}, {}, "stopped", reports=[report()])
    history.trials[10] = Trial(10, "1", "search", None, {}, {}, "failed")
    found = luck(history, history.trials[0])
    assert found is not None
    assert (found.looked, found.everywhere, found.replicates) == (3, 4, 3)
    assert found.spread == pytest.approx(0.1)
    assert found.expected == pytest.approx(best_by_luck(0.1, 3))
    assert found.seen == pytest.approx(seen)


@pytest.mark.parametrize(
    ("measure", "expected"),
    [
        (Measure(0.5, 9, 0.4, 0.6), []),
        (Measure(0.9, 9, 0.7, 1.1), ["near within its interval"]),
        (Measure(1.0, 9, 0.9, 1.1), ["behind 1 of 2 trivial (near)"]),
        (Measure(4.0, 9, 0.5, 5.0), ["behind 2 of 2 trivial (near)"]),
        (Measure(math.nan, 9, math.nan, math.nan), ["not finite"]),
    ],
    ids=["ahead", "interval includes", "tie", "behind", "not finite"],
)
def test_marks_beside_trivial_predictors(measure: Measure, expected: list[str]) -> None:
    history = sweep([])
    history.baselines = [
        Baseline(name, "1", {"validation/error": Measure.exact(v)})
        for name, v in (("far", 2.0), ("near", 1.0), ("oracle", 0.0))
    ]
    history.trials[0].reports = [report(validation_error=measure)]
    assert leaderboard.marks(history, history.trials[0]) == expected


def test_marks_name_the_guards_that_failed_by_their_last_word() -> None:
    history = sweep([])
    fine, bad = (Finding("plateau", failed, 0.0, "") for failed in (False, True))
    other = Finding("gradients", True, 0.1, "", "encoder")
    history.trials[0].reports = [
        report(1, (bad, other), validation_error=Measure.exact(1.0)),
        report(2, (fine,), validation_error=Measure.exact(1.0)),
    ]
    history.trials[0].failures = 2
    assert leaderboard.marks(history, history.trials[0]) == ["2 failed attempts", "gradients: encoder"]


@pytest.mark.parametrize(("count", "word"), [(5, Verdict.NOT_TOLD_APART), (6, Verdict.BETTER)])
def test_a_difference_on_a_handful_of_units_tells_nothing(count: int, word: str) -> None:
    rows = np.full(120, 0.5)
    scores = [mean_over_units(rows - 0.3 * (np.arange(120) < count) * (1 + 0.01 * run)) for run in range(5)]
    history = sweep(scores)
    found = versus(history, history.trials[0], Baseline("line", "1", {"test/error": mean_over_units(rows)}))
    assert found is not None
    assert found.difference is not None
    assert found.difference.high < 0
    assert (found.differing, found.verdict) == (count, word)


def test_the_confirmed_carry_their_replicates_marks() -> None:
    history = sweep([mean_over_units([1.0, 2.0])] * 3)
    for number in (1, 2):
        last = history.trials[number].reports[-1]
        bad = Finding("plateau", True, 0.0, "")
        history.trials[number].reports[-1] = report(findings=(bad, bad), test_error=last.metrics["test/error"])
    assert leaderboard.replicate_marks(history, history.trials[0]) == ["plateau (2 of 3)"]
    assert leaderboard.confirmations(history)[0]["marks"] == ["plateau (2 of 3)"]


def test_nothing_is_claimed_from_a_unit_that_is_no_number() -> None:
    scores, rows = units(np.random.default_rng(1), 5, 120, -0.05)
    line = Baseline("line", "1", {"test/error": mean_over_units(rows)})
    torn = dataclasses.replace(scores[2], units=(math.nan, *scores[2].units[1:]))
    history = sweep([*scores[:2], torn, *scores[3:]])
    found = versus(history, history.trials[0], line)
    assert found is not None
    assert found.verdict is Verdict.NO_CLAIM
    assert found.missing == "the score of replicate 3 is not finite on 1 of 120 units"
    assert found.sentence == f"no claim: {found.missing}"
    confirmed = confirmation(history, history.trials[0])
    assert confirmed is not None
    assert math.isnan(confirmed.value)

    torn = dataclasses.replace(line.metrics["test/error"], units=(math.inf, *rows[1:]))
    history = sweep(scores)
    found = versus(history, history.trials[0], Baseline("line", "1", {"test/error": torn}))
    assert found is not None
    assert (found.verdict, found.missing) == (Verdict.NO_CLAIM, "the score of line is not finite on 1 of 120 units")
