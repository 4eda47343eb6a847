"""Verdicts over hand-made histories: what a headline says of each possible outcome."""

from __future__ import annotations

from typing import Any

import pytest

from analysis import headlines
from analysis.verdicts import Headline, Outcome, arms, fall, reached, verdicts
from sweeps.ledger.history import Baseline, History, Trial
from trainables.measure import Measure, Report


def made(values: dict[str, list[float]], trivial: dict[str, float], metric: str = "logged_violations", **settings: Any) -> History:
    """A history with one confirmed finalist per stratum, its replicates' counts, and one trivial predictor."""
    plain = {"study": "lookahead", "family": "collatz", "metric": "hinge", "mode": "min", "stratify": "lookahead"}
    history = History({**plain, "strata": list(values), "confirm": 1, "replicates": 5, **settings})
    for stratum, counts in values.items():
        number = len(history.trials)
        history.trials[number] = trained(number, stratum, None, "validation", metric, 0.0)
        for count in counts:
            run = len(history.trials)
            history.trials[run] = trained(run, stratum, number, "test", metric, count)
    history.baselines = [Baseline("sum", stratum, {f"test/{metric}": Measure.exact(value, 429)}) for stratum, value in trivial.items()]
    history.baselines.append(Baseline("oracle: steps to 1", next(iter(values)), {f"test/{metric}": Measure.exact(0, 429)}))
    return history


def trained(number: int, stratum: str, of: int | None, split: str, metric: str, value: float) -> Trial:
    units = tuple(0.5 + 0.01 * unit for unit in range(8))
    measures = {f"{split}/hinge": Measure(0.5, 8, 0.4, 0.6, units), f"{split}/{metric}": Measure.exact(value, 429)}
    trial = Trial(number, stratum, "search" if of is None else "replicate", of, {}, {}, "finished")
    trial.reports.append(Report(100, 100, 1.0, 0.0, measures))
    return trial


def asked(history: History, claim: str) -> tuple[str, str]:
    lines = verdicts(history, headlines.of_family("collatz"))
    (line,) = [line for line in lines if line.headline.claim == claim]
    return line.measured, line.verdict


FALL = "Violations fall with lookahead."
SOLVED = "703 completely solved."


@pytest.mark.parametrize(
    ("first", "last", "trivial", "verdict"),
    [
        ([60, 66], [10, 14], {"10": 176, "100": 6}, "explained by a trivial predictor"),
        ([60, 66], [10, 14], {"10": 176, "100": 47}, "agrees"),
        ([60, 66], [10, 14], {}, "agrees"),
        ([60, 66], [50, 62], {"10": 176, "100": 47}, "not told apart"),
        ([60, 66], [70, 80], {"10": 176, "100": 47}, "does not agree"),
    ],
)
def test_a_fall(first: list[float], last: list[float], trivial: dict[str, float], verdict: str) -> None:
    measured, found = asked(made({"10": first, "100": last}, trivial), FALL)
    assert found == verdict
    assert measured.startswith(f"lookahead 10: {first[0]} to {first[1]} in 2 replicates")
    assert ("sum 176" in measured) == bool(trivial)


def test_a_fall_needs_its_ends() -> None:
    assert asked(made({"10": [60], "20": [50]}, {}), FALL) == ("needs a sweep over lookahead with 10 and 100", "not run")


@pytest.mark.parametrize(
    ("counts", "trivial", "verdict"),
    [
        ([0, 0], {"100": 0}, "explained by a trivial predictor"),
        ([0, 0], {"100": 3}, "agrees"),
        ([0, 2], {"100": 3}, "not told apart"),
        ([1, 2], {"100": 3}, "does not agree"),
    ],
)
def test_a_value_that_was_reached(counts: list[float], trivial: dict[str, float], verdict: str) -> None:
    history = made({"10": [9], "100": counts}, trivial, "logged_703")
    assert asked(history, SOLVED)[1] == verdict


def test_a_sweep_over_something_else_says_nothing() -> None:
    history = made({"10": [60], "100": [10]}, {}, stratify="batch", study="batch_size")
    lines = verdicts(history, headlines.of_family("collatz"))
    assert len(lines) == 8
    assert {line.verdict for line in lines} == {"not run"}
    assert headlines.of_family("line") == ()


def test_what_is_not_confirmed_is_said() -> None:
    history = made({"10": [60], "100": [10]}, {})
    history.trials = {number: trial for number, trial in history.trials.items() if trial.of is None}
    measured, verdict = asked(history, FALL)
    assert measured == "lookahead 10: 0 (not confirmed); lookahead 100: 0 (not confirmed)"
    assert verdict == "not told apart"


def paired(better: float, noise: float) -> History:
    """Two arms on the same units, the first lower by `better`."""
    history = made({"ramp": [0, 0, 0], "ramp + mining": [0, 0, 0]}, {}, study="curriculum_length", stratify="arm")
    for trial in history.trials.values():
        shift = (better if trial.stratum == "ramp" else 0.0) + noise * (trial.number % 3)
        units = tuple(unit - shift for unit in (0.5, 0.9, 0.1, 0.7, 0.3, 0.6, 0.2, 0.4))
        split = "validation" if trial.of is None else "test"
        metrics = {f"{split}/hinge": Measure(sum(units) / 8, 8, 0, 1, units)}
        trial.reports[-1] = Report(100, 100, 1.0, 0.0, metrics)
    return history


@pytest.mark.parametrize(
    ("better", "noise", "verdict"), [(0.05, 0.001, "agrees"), (-0.05, 0.001, "does not agree"), (0.001, 0.05, "not told apart")]
)
def test_arms_are_compared_on_the_same_units(better: float, noise: float, verdict: str) -> None:
    measured, found = asked(paired(better, noise), "Mining was hurting, not helping.")
    assert found == verdict
    assert measured.startswith("hinge: arm ramp: 0.")


def test_a_dead_learning_rate_is_another_explanation() -> None:
    history = made({"10": [60]}, {})
    (trial, run) = history.trials.values()
    for one, rates in ((trial, (1e-3, 1e-7)), (run, (1e-3, 1e-7))):
        one.config["schedule"] = "plateau"
        one.reports = [Report(step, 1, 1.0, 0.0, one.reports[-1].metrics, {"learning_rate": rate}) for step, rate in enumerate(rates)]
    claim = "All runs plateau after the seeds are exhausted."
    measured, verdict = asked(history, claim)
    assert verdict == "does not agree"
    assert measured.startswith("the learning rate of 2 of 2 finished trials")
    run.reports = run.reports[:1]
    assert asked(history, claim)[1] == "not told apart"
    run.config["schedule"] = trial.config["schedule"] = "cosine"
    assert asked(history, claim)[1] == "not run"


def test_any_family_may_bring_headlines() -> None:
    def ask(history: History) -> Outcome | None:
        return ("seen", "agrees") if history.trials else None

    headline = Headline("a log", "a claim", "1", "anything", ask)
    assert [(line.measured, line.verdict) for line in verdicts(History(), (headline,))] == [("needs anything", "not run")]
    assert verdicts(made({"10": [1]}, {}), (headline,))[0].verdict == "agrees"
    assert arms("other", "a", "b")(made({"10": [1]}, {})) is None
    assert reached("nothing", "10", 0)(made({"10": [1]}, {})) is None
    assert fall("nothing", ("10", "100"))(made({"10": [1], "100": [1]}, {})) is None
