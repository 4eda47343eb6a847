"""Verdicts over hand-made histories: what a headline says of each possible outcome."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from analysis import Sweep
from leadline.analysis import headlines
from leadline.analysis.verdicts import Headline, Outcome, arms, fall, reached, verdicts
from leadline.ledger.history import Baseline, History, Trial
from leadline.measure import Measure, Report
from leadline.storage import Folder
from tests.leadline.analysis.conftest import SETTINGS

UNITS = 120


def made(
    values: dict[str, list[float]], trivial: dict[str, float], metric: str = "logged_violations", **settings: Any
) -> Sweep:
    """A sweep with one confirmed finalist per stratum, its replicates' counts, and one trivial predictor."""
    history = History(dataclasses.replace(SETTINGS, strata=tuple(values), confirm=1, replicates=5, **settings))
    for stratum, counts in values.items():
        number = len(history.trials)
        history.trials[number] = trained(number, stratum, None, "validation", metric, 0.0)
        for count in counts:
            run = len(history.trials)
            history.trials[run] = trained(run, stratum, number, "test", metric, count)
    history.baselines = [
        Baseline("sum", stratum, {f"test/{metric}": Measure.exact(value, 429)}) for stratum, value in trivial.items()
    ]
    history.baselines.append(
        Baseline("oracle: steps to 1", next(iter(values)), {f"test/{metric}": Measure.exact(0, 429)})
    )
    return Sweep("made", Folder.at("/nowhere"), history)


def trained(number: int, stratum: str, of: int | None, split: str, metric: str, value: float) -> Trial:
    units = tuple(0.5 + 0.01 * unit for unit in range(UNITS))
    measures = {f"{split}/hinge": Measure(0.5, UNITS, 0.4, 0.6, units), f"{split}/{metric}": Measure.exact(value, 429)}
    trial = Trial(number, stratum, "search" if of is None else "replicate", of, {}, {"seed": number}, "finished")
    trial.reports.append(Report(100, 100, 1.0, 0.0, measures))
    return trial


def five(low: float, high: float) -> list[float]:
    """Counts of five replicates, from `low` to `high`."""
    return [low, high, low, high, high]


def asked(sweep: Sweep, claim: str) -> tuple[str, str]:
    lines = verdicts(sweep, headlines.of_family("collatz"))
    (line,) = [line for line in lines if line.headline.claim == claim]
    return line.measured, line.verdict


FALL = "Violations fall with lookahead."
SOLVED = "703 completely solved."


@pytest.mark.parametrize(
    ("first", "last", "trivial", "verdict"),
    [
        (five(60, 66), five(10, 14), {"10": 176, "100": 6}, "explained by a trivial predictor"),
        (five(60, 66), five(10, 14), {"10": 176, "100": 47}, "agrees"),
        (five(60, 66), five(10, 14), {}, "agrees"),
        (five(60, 66), five(50, 62), {"10": 176, "100": 47}, "not told apart"),
        (five(60, 66), five(70, 80), {"10": 176, "100": 47}, "does not agree"),
        ([60, 66], five(10, 14), {}, "no claim"),
    ],
)
def test_a_fall(first: list[float], last: list[float], trivial: dict[str, float], verdict: str) -> None:
    measured, found = asked(made({"10": first, "100": last}, trivial), FALL)
    assert found == verdict
    assert measured.startswith(f"lookahead 10: {first[0]} to {first[1]} in {len(first)} replicates")
    assert ("sum 176" in measured) == bool(trivial)
    assert measured.endswith(" (only 2 of 5 replicates)") == (verdict == "no claim")


def test_a_fall_over_lost_replicates_is_no_claim() -> None:
    sweep = made({"10": [60, 66, 61, 62, 63, 64], "100": five(10, 14)}, {})
    assert asked(sweep, FALL)[1] == "agrees"
    sweep.history.trials[2].status = "failed"
    measured, verdict = asked(sweep, FALL)
    assert verdict == "no claim"
    assert measured.endswith("(replicate 2 failed)")


def test_a_fall_needs_its_ends() -> None:
    assert asked(made({"10": [60], "20": [50]}, {}), FALL) == (
        "needs a sweep over lookahead with 10 and 100",
        "not run",
    )


@pytest.mark.parametrize(
    ("counts", "trivial", "verdict"),
    [
        ([0], {"100": 0}, "explained by a trivial predictor"),
        (five(0, 0), {"100": 3}, "agrees"),
        (five(0, 2), {"100": 3}, "not told apart"),
        (five(1, 2), {"100": 3}, "does not agree"),
        ([1, 2], {"100": 3}, "no claim"),
    ],
)
def test_a_value_that_was_reached(counts: list[float], trivial: dict[str, float], verdict: str) -> None:
    assert asked(made({"10": [9], "100": counts}, trivial, "logged_703"), SOLVED)[1] == verdict


def test_a_sweep_over_something_else_says_nothing() -> None:
    sweep = made({"10": [60], "100": [10]}, {}, stratify="batch", study="batch_size")
    lines = verdicts(sweep, headlines.of_family("collatz"))
    assert len(lines) == 8
    assert {line.verdict for line in lines} == {"not run"}
    assert headlines.of_family("line") == ()


def test_what_is_not_confirmed_says_nothing() -> None:
    sweep = made({"10": [60], "100": [10]}, {})
    for number in [number for number, trial in sweep.history.trials.items() if trial.of is not None]:
        del sweep.history.trials[number]
    assert asked(sweep, FALL) == ("needs a sweep over lookahead with 10 and 100", "not run")


def paired(better: float, noise: float, replicates: int = 5) -> Sweep:
    """Two arms on the same units, the first lower by `better`."""
    zeros: list[float] = [0] * replicates
    sweep = made({"ramp": zeros, "ramp + mining": zeros}, {}, study="curriculum_length", stratify="arm")
    for trial in sweep.history.trials.values():
        shift = (better if trial.stratum == "ramp" else 0.0) + noise * (trial.number % 3)
        values = tuple((unit * 37 % 100) / 100 - shift for unit in range(UNITS))
        split = "validation" if trial.of is None else "test"
        metrics = {f"{split}/hinge": Measure(sum(values) / UNITS, UNITS, 0, 1, values)}
        trial.reports[-1] = Report(100, 100, 1.0, 0.0, metrics)
    return sweep


@pytest.mark.parametrize(
    ("better", "noise", "replicates", "verdict"),
    [
        (0.05, 0.001, 5, "agrees"),
        (-0.05, 0.001, 5, "does not agree"),
        (0.001, 0.05, 5, "not told apart"),
        (0.05, 0.001, 4, "no claim"),
    ],
)
def test_arms_are_compared_on_the_same_units(better: float, noise: float, replicates: int, verdict: str) -> None:
    measured, found = asked(paired(better, noise, replicates), "Mining was hurting, not helping.")
    assert found == verdict
    assert measured.startswith("hinge: arm ramp: ")
    assert measured.endswith("(only 4 of 5 replicates)") == (verdict == "no claim")


def test_a_dead_learning_rate_confounds_the_logs_explanation() -> None:
    sweep = made({"10": [60]}, {})
    (trial, run) = sweep.history.trials.values()
    for one, rates in ((trial, (1e-3, 1e-7)), (run, (1e-3, 1e-7))):
        one.config["schedule"] = "plateau"
        one.reports = [
            Report(step, 1, 1.0, 0.0, one.reports[-1].metrics, {"learning_rate": rate})
            for step, rate in enumerate(rates)
        ]
    claim = "All runs plateau after the seeds are exhausted."
    measured, verdict = asked(sweep, claim)
    assert verdict == "confounded"
    assert measured.startswith("the learning rate of 2 of 2 finished trials")
    for one in (trial, run):
        one.reports = one.reports[:1]
    assert asked(sweep, claim)[1] == "not told apart"
    run.config["schedule"] = trial.config["schedule"] = "cosine"
    assert asked(sweep, claim)[1] == "not run"


def test_any_family_may_bring_headlines() -> None:
    def ask(sweep: Sweep) -> Outcome | None:
        return ("seen", "agrees") if sweep.history.trials else None

    headline = Headline("a log", "a claim", "1", "anything", ask)
    empty = Sweep("empty", Folder.at("/nowhere"), History())
    assert [(line.measured, line.verdict) for line in verdicts(empty, (headline,))] == [("needs anything", "not run")]
    assert verdicts(made({"10": [1]}, {}), (headline,))[0].verdict == "agrees"
    assert arms("other", "a", "b")(made({"10": [1]}, {})) is None
    assert reached("nothing", "10", 0)(made({"10": [1]}, {})) is None
    assert fall("nothing", ("10", "100"))(made({"10": [1], "100": [1]}, {})) is None
