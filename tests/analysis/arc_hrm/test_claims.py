"""The log's claims over hand-made histories."""

from __future__ import annotations

import dataclasses

import pytest

from analysis.arc_hrm import claims as of_arc_hrm
from analysis.arc_hrm.claims import padding
from leadline import Sweep
from leadline.analysis import claims
from leadline.analysis.claims import judged
from leadline.engine import options
from search_spaces.plateau.arc_hrm import ARMS, STUDY
from tests.analysis.arc_hrm.sweeps import SETTINGS, made
from trainables.arc_hrm.presets import ALL_PAD_ACCURACY, LOGGED, LOGGED_RESULTS

HEADLINE = "The best model is at step 7,000."
LIMIT = "71 % is the capacity limit of 6.95M parameters: architecture-limited."
SMOOTHING = "Label smoothing and warm restarts do not break the plateau."
BATCH = "A smaller batch, 5 times 8, does not help to escape."
SIZE = "Architecture matters more than size: larger models struggle similarly."
SPEED = "The frequency of validation is critical for speed."


def verdicts(sweep: Sweep) -> dict[str, str]:
    return {line.claim.claim: line.verdict for line in judged(sweep, claims.of_family(SETTINGS))}


def measured(sweep: Sweep, claim: str) -> str:
    return next(line.measured for line in judged(sweep, claims.of_family(SETTINGS)) if line.claim.claim == claim)


def test_a_constant_has_the_headline() -> None:
    """71.2 % of the cells of the evaluation queries are PAD, which no training is needed for."""
    share, queries = padding("arcagi1")
    assert queries == 419
    assert share == pytest.approx(0.7121, abs=5e-5)
    assert LOGGED_RESULTS["session5"].cells <= ALL_PAD_ACCURACY
    sweep = made({"session 5": 0.2})
    assert verdicts(sweep)[HEADLINE] == "explained by a trivial predictor"
    said = measured(sweep, HEADLINE)
    assert said.startswith("all PAD: 71.36 % of the cells")
    assert "71.21 % of the 419 queries" in said
    assert said.endswith("on this sweep's test boards 70.00 %, grids 0")


@pytest.mark.parametrize(
    ("demonstrations", "replicates", "verdict"),
    [
        (0.7, 5, "does not agree"),
        (0.2, 5, "not told apart"),
        (0.05, 5, "not told apart"),
        (0.7, 3, "no claim"),
    ],
)
def test_the_same_network_with_demonstrations_says_whether_size_is_the_limit(
    demonstrations: float, replicates: int, verdict: str
) -> None:
    sweep = made({"session 5": 0.2, "demonstrations": demonstrations}, replicates=replicates)
    assert verdicts(sweep)[LIMIT] == verdict


def test_the_arm_that_differs_in_nothing_else_is_preferred() -> None:
    both = {"session 5": 0.2, "demonstrations": 0.7}
    confound = "; demonstrations also leaves PAD out of its loss"
    assert measured(made(both), LIMIT).endswith(confound)
    sweep = made({**both, "demonstrations and pad": 0.2})
    assert verdicts(sweep)[LIMIT] == "not told apart"
    assert not measured(sweep, LIMIT).endswith(confound)


def test_every_arm_can_be_asked_for() -> None:
    """By its name on the command line, where commas part the names."""
    asked = options.parse(STUDY, [f"arm={','.join(ARMS)}"], "")
    assert options.settings(STUDY, asked).strata == tuple(ARMS)


@pytest.mark.parametrize(
    ("claim", "arm", "control"),
    [
        (SMOOTHING, "session 5", "session 3"),
        (BATCH, "session 4", "session 3"),
        (SIZE, "wider", "session 5"),
        (SIZE, "27m", "session 5"),
    ],
)
def test_what_is_said_to_bring_nothing(claim: str, arm: str, control: str) -> None:
    assert verdicts(made({control: 0.2, arm: 0.2}))[claim] != "does not agree"
    assert verdicts(made({control: 0.2, arm: 0.6}))[claim] == "does not agree"
    assert verdicts(made({control: 0.6, arm: 0.2}))[claim] == "agrees"
    assert verdicts(made({control: 0.2}))[claim] == "not run"


def test_what_is_larger_depends_on_the_scale() -> None:
    """Beside networks of the log's width the arm `wider` is the narrower one; `27m` is asked first."""
    assert verdicts(made({"session 5": 0.2, "wider": 0.6}, width=256))[SIZE] == "not run"
    assert verdicts(made({"session 5": 0.2, "wider": 0.6, "27m": 0.1}, width=256))[SIZE] == "agrees"
    assert "27m" in measured(made({"session 5": 0.2, "wider": 0.1, "27m": 0.6}), SIZE)


def test_how_often_session_5_validated_is_not_when_it_had_settled(monkeypatch: pytest.MonkeyPatch) -> None:
    told = measured(made({}), SPEED)
    monkeypatch.setattr(of_arc_hrm, "LOGGED", dataclasses.replace(LOGGED, settled=1))
    assert measured(made({}), SPEED) == told
    monkeypatch.setattr(of_arc_hrm, "LOGGED", dataclasses.replace(LOGGED, fast_steps=1))
    assert measured(made({}), SPEED) != told


def test_what_any_sweep_can_say() -> None:
    found = verdicts(made({}))
    assert found["The network has 6.95M parameters, not 27M as planned."] == "agrees"
    assert found["The dataset has 3.88M training and 409k validation examples."] == "does not agree"
    assert found["Training runs at about 42 rows a second."] == "does not agree"
    assert found[SPEED] == "agrees"
    assert found[LIMIT] == "not run"


def test_a_constant_loses_a_fifth_of_the_cells_on_the_harder_data_set() -> None:
    share, queries = padding("arcagi2")
    assert share == pytest.approx(0.4998, abs=5e-5)
    assert queries == 167
    assert measured(made({}), "ARC-AGI-2 is the new, harder benchmark.").startswith("all PAD has 49.98 % of the cells")


def test_nothing_is_left_unasked() -> None:
    every = judged(made({"session 5": 0.2}), claims.of_family(SETTINGS))
    assert not [line.measured for line in every if line.measured.startswith("could not be asked")]
    said = " ".join(claim.logged + claim.claim for claim in claims.of_family(SETTINGS))
    for words in ("71.36", "71.32", "68", "6.95M", "27M", "3,880,000", "409,000", "193,064", "10,000", "42"):
        assert words in said
