"""The log's claims over hand-made histories."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from leadline import Sweep
from leadline.analysis import claims
from leadline.analysis.claims import judged
from leadline.ledger.history import Baseline, History, Trial
from leadline.ledger.verdicts import Verdict
from leadline.measure import Measure, Report
from leadline.storage import Folder
from tests.leadline.analysis import conftest
from trainables.scan.audit import audit
from trainables.scan.data import build
from trainables.scan.presets import logged

SETTINGS = dataclasses.replace(
    conftest.SETTINGS, family="scan", study="stages", stratify="arm", metric="held_out", mode="max", confirm=1
)
UNITS = 200
METRICS = ("exact", "simple", "complex", "novel", "held_out")


def measure(value: float) -> Measure:
    """So many of the units right, the same ones for the same value."""
    units = tuple(float(unit * 37 % UNITS < value * UNITS) for unit in range(UNITS))
    mean = sum(units) / UNITS
    return Measure(mean, UNITS, mean, mean, units)


def made(
    values: dict[str, float], loss: float = 0.02, replicates: int = 5, trivial: float = 0.0, **settings: Any
) -> Sweep:
    """A sweep with a confirmed finalist for each stratum, the same score by every metric."""
    history = History(dataclasses.replace(SETTINGS, strata=tuple(values), replicates=5, **settings))
    for stratum, value in values.items():
        first = len(history.trials)
        for number in range(first, first + replicates + 1):
            of = None if number == first else first
            split = "validation" if of is None else "test"
            trial = Trial(
                number, stratum, "search" if of is None else "replicate", of, {}, {"seed": number}, "finished"
            )
            metrics = {f"{split}/{name}": measure(value) for name in METRICS}
            trial.reports.append(Report(400, 400, 1.0, 0.0, metrics, {"loss": loss}))
            history.trials[number] = trial
        scores = {f"test/{name}": measure(trivial) for name in METRICS}
        oracle = {f"test/{name}": measure(1.0) for name in METRICS}
        history.baselines += [Baseline("nearest", stratum, scores), Baseline("oracle: interpreter", stratum, oracle)]
    return Sweep("made", Folder.at("/nowhere"), history)


def lines(sweep: Sweep) -> dict[str, tuple[str, Verdict]]:
    return {line.claim.claim: (line.measured, line.verdict) for line in judged(sweep, claims.of_family(SETTINGS))}


LEAK = "No data leakage between splits."
STANDARD, SIMPLE = "Standard SCAN is learnt.", "Simple modifications are learnt."
COMPLEX, NEVER = "Complex modifications are learnt.", "Combinations are learnt: those that never were trained."
CONVERGED = "Excellent convergence: the model learned the SCAN mappings well."
CURRICULUM = "A progressive curriculum works for language."
MEMORY, LEAST = "The batch has to come down for memory.", "A batch of 8 is the minimum for stable training."
LARGER = "The GPU was underutilized: try larger batches."
PLANNED, COUNTED = "The transformer has about 50M parameters.", "The LSTM has 267,914 parameters."


@pytest.mark.parametrize(
    ("split", "protocol", "verdict"), [("pooled", "logged", "does not agree"), ("simple", "clean", "not run")]
)
def test_a_leak_is_judged_by_the_audit_of_real_data(split: str, protocol: Any, verdict: str) -> None:
    sweep = made({"staged": 0.5})
    findings = audit(build(split), protocol)
    sweep.history.findings = [
        {"guard": one.guard, "stratum": "staged", "failed": one.failed, "number": one.number, "sentence": one.sentence}
        for one in findings
    ]
    measured, found = lines(sweep)[LEAK]
    assert found == verdict
    assert ("test commands (9" in measured) == (split == "pooled"), "nine tenths, and not of a split that is sound"


@pytest.mark.parametrize(
    ("value", "verdicts"),
    [
        (0.99, ("agrees", "agrees", "agrees", "agrees")),
        (0.88, ("does not agree", "agrees", "agrees", "agrees")),
        (0.40, ("does not agree", "does not agree", "does not agree", "does not agree")),
        (0.80, ("does not agree", "not told apart", "agrees", "agrees")),
    ],
)
def test_targets_of_the_stages(value: float, verdicts: tuple[str, ...]) -> None:
    found = lines(made({"staged": value}))
    assert tuple(found[claim][1] for claim in (STANDARD, SIMPLE, COMPLEX, NEVER)) == verdicts
    assert found[STANDARD][0].startswith("exact: arm staged: ")


def test_a_target_that_a_trivial_predictor_reaches_is_explained() -> None:
    found = lines(made({"staged": 0.99}, trivial=0.65))
    assert (found[NEVER][1], found[COMPLEX][1]) == ("explained by a trivial predictor", "agrees")


def test_too_few_replicates_are_no_claim() -> None:
    found = lines(made({"staged": 0.99, "joint": 0.5}, replicates=4))
    for claim in (STANDARD, NEVER, CONVERGED, CURRICULUM):
        assert found[claim][1] == "no claim"
        assert found[claim][0].endswith("(only 4 of 5 replicates)")


@pytest.mark.parametrize(
    ("value", "loss", "verdict"),
    [
        (0.9, 0.038, "agrees"),
        (0.1, 0.038, "does not agree"),
        (0.6, 0.01, "not told apart"),
        (0.9, 0.05, "not told apart"),
    ],
)
def test_a_low_training_loss_says_what_held_out_says(value: float, loss: float, verdict: str) -> None:
    assert lines(made({"staged": value}, loss))[CONVERGED][1] == verdict


@pytest.mark.parametrize(
    ("staged", "joint", "verdict"), [(0.7, 0.5, "agrees"), (0.5, 0.7, "does not agree"), (0.5, 0.505, "not told apart")]
)
def test_staged_against_joint(staged: float, joint: float, verdict: str) -> None:
    measured, found = lines(made({"staged": staged, "joint": joint}))[CURRICULUM]
    assert found == verdict
    assert measured.startswith("held_out: arm staged: ")


BATCHES: dict[str, Any] = {"study": "batch_size", "stratify": "batch", "metric": "exact"}


def test_batches() -> None:
    found = lines(made({"4": 0.3, "8": 0.6, "32": 0.7, "256": 0.5}, **BATCHES))
    assert found[LEAST][1] == "agrees"
    assert found[LARGER][1] == "does not agree"
    assert "batch 256" in found[LARGER][0]
    assert "batch 32" in found[LARGER][0]
    found = lines(made({"8": 0.6, "64": 0.7}, **BATCHES))
    assert (found[LEAST][1], found[LARGER][1]) == ("not run", "not run")
    assert found[CURRICULUM][1] == found[STANDARD][1] == found[CONVERGED][1] == "not run"


@pytest.mark.parametrize(
    ("config", "verdict"),
    [
        ({"model": "transformer", "width": 256, "batch": 64}, "does not agree"),
        ({"model": "transformer", "width": 128, "batch": 16}, "does not agree"),
        ({"model": "transformer", "width": 128, "batch": 8}, "not run"),
        ({"model": "transformer", "width": 64, "batch": 64}, "not run"),
        ({"model": "transformer", "width": 256, "batch": 64, "micro_batch": 8}, "not run"),
        ({"model": "attention", "width": 256, "batch": 64}, "not run"),
    ],
)
def test_what_the_log_could_not_fit(config: dict[str, Any], verdict: str) -> None:
    sweep = made({"32": 0.5}, **BATCHES)
    for trial in sweep.history.trials.values():
        trial.config.update({"micro_batch": 0, **config})
    assert lines(sweep)[MEMORY][1] == verdict
    for trial in sweep.history.trials.values():
        trial.status = "failed"
    assert lines(sweep)[MEMORY][1] == "not run"


def test_sizes_are_judged_by_counting() -> None:
    found = lines(made({}))
    assert found[PLANNED][1] == found[COUNTED][1] == "does not agree"
    assert "11,074,058" in found[PLANNED][0]
    assert found[COUNTED][0].startswith("327,818 are trained")


def test_what_was_not_run_is_said() -> None:
    found = lines(made({}))
    assert {verdict for claim, (_, verdict) in found.items() if claim not in (PLANNED, COUNTED)} == {"not run"}
    assert found[LEAK][0] == "needs a sweep with split=pooled protocol=logged"
    assert logged("log").split == "pooled"


def test_the_logs_numbers_stand_in_its_claims() -> None:
    said = " ".join(claim.logged for claim in claims.of_family(SETTINGS))
    for number in ("64,196", "7,469", "95 %", "80 %", "70 %", "60 %", "0.4026 to 0.038", "267,914", "50M", "12 %"):
        assert number in said
    assert "64 at width 256 (6 %), 32 at width 256 (7 %), 16 at width 128 (9 %), 8 at width 128 (27 %)" in said
