"""Named arms in place of a field's values, budgets in samples, fields that all strata share."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest

from leadline import Scale, Study
from leadline.config import ConfigError
from leadline.engine import options
from leadline.engine.director import Assignment, Director
from leadline.finding import Finding
from leadline.ledger.events import Event
from leadline.ledger.settings import Settings
from leadline.measure import Measure, Report
from sweeps.batch_size import STUDY as BATCH_SIZE
from sweeps.curriculum_length import ARMS
from sweeps.curriculum_length import STUDY as CURRICULUM
from sweeps.encoder import STUDY as ENCODER
from sweeps.lookahead import STUDY as LOOKAHEAD
from tests.leadline.engine.test_bad_input import main
from tests.leadline.engine.test_director import BASE, Simulation


def settings_of(study: Study, *arguments: str) -> Settings:
    return options.settings(study, options.parse(study, arguments, ""))


def proposals(study: Study, *arguments: str) -> list[tuple[str, dict[str, Any], dict[str, Any]]]:
    """(stratum, searched parameters, configuration) of every trial, none of which is trained."""
    asked = settings_of(study, "--scale", "smoke", *arguments)
    director = Director(asked, study.space)
    director.opened({})
    while isinstance(assignment := director.next(), Assignment):
        director.started(assignment.trial, assignment.attempt)
        if len(director.history.trials) == asked.trials:
            break
    return [(trial.stratum, trial.params, trial.config) for trial in director.history.trials.values()]


def test_an_arm_fixes_its_fields_and_searches_the_others() -> None:
    found = proposals(CURRICULUM)
    assert [stratum for stratum, _, _ in found] == [*ARMS, *ARMS]
    for stratum, searched, config in found:
        assert not set(searched) & set(ARMS[stratum])
        assert {"lr"} <= set(searched)
        assert all(config[name] == value for name, value in ARMS[stratum].items())
    assert all("ramp" in searched for stratum, searched, _ in found if stratum.startswith("ramp"))


def test_an_arm_of_the_encoder_searches_what_it_leaves_open() -> None:
    """Encoders search the same; an embedding has nothing to pool, a plain transformer no segments."""
    found = proposals(ENCODER, "arm=reencode,cached,fct,embedding,plain transformer", "--trials", "5")
    common = {"lr", "l_layers", "halt_max_steps"}
    assert {stratum: set(searched) for stratum, searched, _ in found} == {
        "reencode": {*common, "pooling", "explore"},
        "cached": {*common, "pooling", "explore"},
        "fct": {*common, "pooling"},
        "embedding": {*common, "explore"},
        "plain transformer": {"lr"},
    }
    assert all(config["halt_max_steps"] > 1 for stratum, _, config in found if stratum != "plain transformer")


def test_arms_can_be_chosen_and_misspelt(capsys: pytest.CaptureFixture[str]) -> None:
    found = proposals(CURRICULUM, "arm=ramp, no hard seeds")
    assert {stratum for stratum, _, _ in found} == {"ramp", "no hard seeds"}
    with pytest.raises(SystemExit):
        main(CURRICULUM, "", ["arm=ramps"])
    assert capsys.readouterr().err == f"error: arm: no 'ramps'; the arms are {', '.join(ARMS)}\n"
    with pytest.raises(SystemExit):
        main(CURRICULUM, "", ["arm=ramp,"])
    assert capsys.readouterr().err.startswith("error: arm: there is a comma with no name beside it; the arms are ")


def test_a_budget_in_samples_gives_every_batch_as_many_rows() -> None:
    for stratum, _, config in proposals(BATCH_SIZE):
        assert config["batch"] == int(stratum)
        assert config["steps"] * config["batch"] == 2**14
        assert config["eval_every"] * config["batch"] == 2**12


def test_a_batch_that_does_not_divide_the_budget_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, line in (
        (["batch=96"], "samples: 1048576 is no whole number of batches of 96; take a multiple"),
        (["--samples", "1000"], "samples: 1000 is below grace 65536, the first rung; raise --samples or lower --grace"),
        (["--steps", "1000"], "steps: unknown option; see --help"),
        (["steps=10"], "steps: say --samples, which the whole sweep needs to know"),
    ):
        with pytest.raises(SystemExit) as ended:
            main(BATCH_SIZE, "", arguments)
        assert ended.value.code == 2
        assert capsys.readouterr().err == f"error: {line}\n"


def test_rungs_of_a_budget_in_samples_judge_samples() -> None:
    asked = settings_of(BATCH_SIZE, "--scale", "smoke")
    director = Director(asked, BATCH_SIZE.space)
    director.opened({})
    for _ in asked.strata:
        assert isinstance(director.next(), Assignment)
    for trial in list(director.history.trials.values()):
        director.started(trial.number, 1)
        rows, every = trial.config["batch"], trial.config["eval_every"]
        for step in range(every, trial.config["steps"] + 1, every):
            measure = Measure(0.5, 64, 0.4, 0.6)
            decision = director.reported(
                trial.number, Report(step, step * rows, 1.0, 0.0, {"validation/hinge": measure})
            )
        assert decision.action == "finish"
        assert trial.samples == asked.budget
        assert director.asha[trial.stratum].population() == dict.fromkeys(asked.rungs, 1)


def test_fields_that_follow_from_the_strata_are_the_same_in_all() -> None:
    for arguments, common in (((), 100), (("lookahead=10,20,50",), 50), (("lookahead=10,20", "common=150"), 150)):
        assert {config["common"] for _, _, config in proposals(LOOKAHEAD, *arguments)} == {common}


def test_a_sweep_of_arms_is_replayed() -> None:
    """Toy levels as arms: a cut ledger goes on as the whole one would."""
    arms: dict[str, dict[str, Any]] = {"low": {"level": 1}, "high": {"level": 2, "offset": 0.25}}
    asked = dataclasses.replace(BASE, stratify="arm", strata=("low", "high"), arms=arms, concurrent=1)
    whole = Simulation(asked).run()
    cut: list[Event] = whole.events[:40]
    again = Simulation(asked, past=cut).run()
    assert {n: (t.params, t.status, t.config) for n, t in again.director.history.trials.items()} == {
        n: (t.params, t.status, t.config) for n, t in whole.director.history.trials.items()
    }
    searched = [trial for trial in whole.director.history.search_trials() if trial.stratum == "high"]
    assert all(set(trial.params) == {"lr"} and trial.config["offset"] == 0.25 for trial in searched)


def test_an_arm_that_the_family_refuses_is_named_before_anything_starts() -> None:
    study = dataclasses.replace(
        CURRICULUM, arms={"bad": {"ramp": 7}}, scales={"laptop": Scale(2, 90, 10, 3, 0, 1, strata=("bad",), startup=1)}
    )
    with pytest.raises(ConfigError, match=r"^ramp: "):
        settings_of(study)


def test_distributions_and_findings_reach_the_history() -> None:
    director = Simulation(BASE).director
    director.opened({})
    first = director.next()
    assert isinstance(first, Assignment)
    trial = director.history.trials[first.trial]
    assert set(trial.distributions) == set(trial.params) == {"lr", "offset"}
    assert '"log": true' in trial.distributions["lr"]
    director.started(first.trial, 1)
    for step, number in ((1, 3.0), (2, 5.0)):
        findings = (
            Finding("spikes", True, number, "the loss jumped"),
            Finding("memory", False, math.nan, "said once", "peak"),
        )
        director.reported(
            first.trial,
            Report(step, step, 1.0, 0.0, {"validation/error": Measure(1.0 / step, 4, 0, 1)}, findings=findings),
        )
    assert [(found.guard, found.number) for found in trial.findings if found.failed] == [("spikes", 5.0)]
    assert [found.mark for found in trial.findings] == ["spikes", "memory: peak"]
    assert director.news == [f"trial {first.trial}: spikes: the loss jumped"], (
        "told once, however often its number changes"
    )


def test_an_override_holds_in_the_arms_that_do_not_fix_it() -> None:
    found = proposals(CURRICULUM, "arm=all from the start,ramp", "ramp=0.3")
    assert {(stratum, config["ramp"]) for stratum, _, config in found} == {("all from the start", 0.0), ("ramp", 0.3)}
    assert not any("ramp" in searched for _, searched, _ in found)


def test_an_override_that_every_arm_fixes_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(CURRICULUM, "", ["mine_every=0.2"])
    error = capsys.readouterr().err
    assert error.startswith("error: mine_every: is fixed by every arm (ramp, ramp + mining, ")


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"arm": "ramp", "lookahead": 100}, "lookahead: is fixed for the whole sweep"),
        ({"arm": "no hard seeds", "hard_ratio": 0.5}, "hard_ratio: is fixed for the whole sweep"),
    ],
)
def test_an_enqueued_field_that_an_arm_or_the_study_fixes_is_refused(entry: dict[str, Any], said: str) -> None:
    asked = dataclasses.replace(settings_of(CURRICULUM), enqueue=(entry,))
    with pytest.raises(ConfigError, match=rf"^enqueue: entry 1: {said}$"):
        options.check_configurations(CURRICULUM, asked)


def test_lookaheads_differ_in_nothing_that_counts_samples() -> None:
    found = proposals(LOOKAHEAD)
    assert len({(config["batch"], config["steps"]) for _, _, config in found}) == 1
    assert not any({"batch", "steps"} & set(searched) for _, searched, _ in found)


def test_fixed_layers_are_not_searched() -> None:
    assert all("layers" in searched for _, searched, _ in proposals(LOOKAHEAD))
    found = proposals(LOOKAHEAD, "layers=16,16")
    assert not any("layers" in searched for _, searched, _ in found)
    assert {tuple(config["layers"]) for _, _, config in found} == {(16, 16)}


@pytest.mark.parametrize("study", [LOOKAHEAD, CURRICULUM, BATCH_SIZE])
@pytest.mark.parametrize("scale", ["smoke", "laptop", "full"])
def test_every_stratum_gets_as_many_trials(study: Study, scale: str) -> None:
    asked = study.scales[scale]
    assert asked.trials % len(asked.strata) == 0
