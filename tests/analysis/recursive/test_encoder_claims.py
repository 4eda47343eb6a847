"""The claims of the log of encoders over made-up sweeps."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from leadline import Sweep
from leadline.analysis import claims
from leadline.analysis.claims import judged
from leadline.ledger.history import History
from leadline.storage import Folder
from tests.analysis.recursive.encoder_sweep import made
from trainables.recursive.presets import LOGGED_ENCODER


def verdicts(sweep: Sweep) -> dict[str, tuple[str, str]]:
    return {line.claim.claim: (line.verdict, line.measured) for line in judged(sweep, claims.of_family(sweep.settings))}


def arm(exact: float = 0.5, **fields: Any) -> dict[str, Any]:
    return {"test": {"exact": exact, "exact_new": fields.pop("new", 0.1)}, **fields}


MENDS = "A detached cache starves the encoder, and re-encoding mends it."
FIXED = "A cached encoder learns less than fixed computation."
JUDGED = "Fixed computation has more right than re-encoding."
STARVED = "Behind a cache the encoder has a gradient from 2 % of the rows."
COVERED = "Re-encoding gives the encoder a gradient from every row, whatever halts."
CHEAP = "Re-encoding costs no more than fixed computation."
TOKENS = "Token accuracy is improving."
STABLE = "Q-halt's accuracy is high and stable, a good sign."
FALLS = "Q-halt's accuracy falls while exact match rises."
ADAPTS = "Adaptive halting works."
RULES = "The encoder learns rules, and solves tasks that were never trained on."
VARIATIONAL = "It was the cache that failed, and not the variational encoder."


@pytest.mark.parametrize(
    ("reencode", "cached", "replicates", "verdict"),
    [
        (0.6, 0.3, 5, "agrees"),
        (0.3, 0.6, 5, "does not agree"),
        (0.5, 0.5, 5, "not told apart"),
        (0.6, 0.3, 4, "no claim"),
    ],
)
def test_re_encoding_against_the_cache(reencode: float, cached: float, replicates: int, verdict: str) -> None:
    found = verdicts(made({"reencode": arm(reencode), "cached": arm(cached)}, replicates=replicates))
    assert found[MENDS][0] == verdict
    assert found[FIXED] == ("not run", "needs a sweep of encoder, confirmed, with the arms fct and cached")


def test_fixed_computation_and_the_variational_encoder() -> None:
    found = verdicts(made({"fct": arm(0.7), "reencode": arm(0.5), "variational": arm(0.5), "cached": arm(0.5)}))
    assert found[JUDGED][0] == found[FIXED][0] == "agrees"
    assert found[VARIATIONAL][0] == "agrees"
    assert verdicts(made({"reencode": arm(0.8), "variational": arm(0.3)}))[VARIATIONAL][0] == "does not agree"


@pytest.mark.parametrize(("coverage", "verdict"), [(0.27, "does not agree"), (0.02, "agrees")])
def test_the_logs_coverage_cannot_be(coverage: float, verdict: str) -> None:
    found = verdicts(made({"cached": arm(coverage=coverage), "reencode": arm(coverage=1.0)}))
    least = "at most 4 segments give 1 row in 4 at the least"
    assert found[STARVED] == (verdict, f"encoder/coverage: arm cached: {coverage:g} in 6 trials; {least}")
    assert found[COVERED] == ("agrees", "encoder/coverage: arm reencode: 1 in 6 trials")
    assert verdicts(made({"reencode": arm(coverage=0.9)}))[COVERED][0] == "does not agree"
    assert verdicts(made({"embedding": arm(), "cached": arm()}))[STARVED][0] == "not run"


def test_the_least_coverage_is_above_the_logs() -> None:
    """Whatever halts: a row in `limit` begins anew."""
    assert 1 / LOGGED_ENCODER.limit > LOGGED_ENCODER.coverage
    assert 1 / LOGGED_ENCODER.segments > LOGGED_ENCODER.coverage


@pytest.mark.parametrize(("rows", "verdict"), [(96, "agrees"), (32, "does not agree")])
def test_encodings_are_counted(rows: int, verdict: str) -> None:
    found = verdicts(made({"reencode": arm(rows=32), "fct": arm(rows=rows, segments=3)}))
    assert found[CHEAP][0] == verdict
    assert found[CHEAP][1].startswith("rows encoded for a board's segment: arm reencode: 1; arm fct: ")


def test_trivial_predictors_explain_what_they_reach() -> None:
    """One that is always wrong has a Q that is always right."""
    sweep = made({"reencode": arm()}, {"accuracy": 0.9, "q_accuracy": 1.0, "exact": 0.0})
    assert verdicts(sweep)[TOKENS] == (
        "explained by a trivial predictor",
        "accuracy on test: copy, which learns nothing, 0.9000",
    )
    assert verdicts(sweep)[STABLE][0] == "explained by a trivial predictor"
    sweep = made({"reencode": arm()}, {"accuracy": 0.7, "q_accuracy": 0.8})
    assert verdicts(sweep)[TOKENS][0] == verdicts(sweep)[STABLE][0] == "not told apart"


@pytest.mark.parametrize(
    ("told", "replicates", "verdict"),
    [
        (((0.0, 1.0), (0.3, 0.9), (0.5, 0.95)), 5, "agrees"),
        (((0.0, 0.6), (0.3, 0.9)), 5, "does not agree"),
        (((0.0, 1.0), (0.0, 0.8), (0.3, 0.95), (0.95, 0.5)), 5, "does not agree"),
        (((0.0, 1.0), (0.3, 0.8), (0.3, 0.95), (0.05, 0.5)), 5, "agrees"),
        (((0.0, 1.0), (0.95, 0.9)), 5, "not run"),
        (((0.0, 1.0), (0.05, 0.95)), 5, "not run"),
        (((0.0, 1.0), (0.3, 0.9)), 4, "no claim"),
    ],
)
def test_q_falls_as_boards_are_solved(told: Any, replicates: int, verdict: str) -> None:
    assert verdicts(made({"reencode": arm(told=told)}, replicates=replicates))[FALLS][0] == verdict


@pytest.mark.parametrize(("steps", "verdict"), [(2.5, "agrees"), (4.0, "does not agree")])
def test_halting(steps: float, verdict: str) -> None:
    assert verdicts(made({"reencode": arm(steps=steps)}))[ADAPTS][0] == verdict


@pytest.mark.parametrize(
    ("new", "trivial", "verdict"),
    [(0.4, 0.1, "agrees"), (0.05, 0.4, "does not agree"), (0.1, None, "no claim")],
)
def test_new_rules_are_beside_the_best_trivial_predictor(new: float, trivial: float | None, verdict: str) -> None:
    sweep = made({"reencode": arm(new=new)}, None if trivial is None else {"exact_new": trivial})
    assert verdicts(sweep)[RULES][0] == verdict


def test_what_was_not_run_is_said() -> None:
    settings = dataclasses.replace(made({"reencode": arm()}).settings, strata=())
    found = verdicts(Sweep("empty", Folder.at("/nowhere"), History(settings)))
    assert {verdict for verdict, _ in found.values()} == {"not run"}
    assert (
        "needs the benchmark of encoding all rows"
        in found["The runs had not crashed, they were a hundred times too slow."][1]
    )


def test_the_logs_numbers_stand_in_its_claims() -> None:
    said = " ".join(claim.logged for claim in claims.of_family(made({"reencode": arm()}).settings))
    for number in (
        "86.15 %",
        "10.9 %",
        "96.7 %",
        "2 %",
        "6.25 %",
        "8.8",
        "51.5 %",
        "50.6 %",
        "91.8 %",
        "89.1 %",
        "11.34",
    ):
        assert number in said, number
    for number in ("422 s", "0 % on held-out", "78.9 %", "99 %", "85 %", "8 groups", "on 32"):
        assert number in said, number
