"""The study of noise on the latent start: its arms, its band, what it tries first and what it plans to compare."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leadline import registry
from leadline.config import ConfigError
from leadline.engine.director import Assignment, Director
from leadline.engine.search import Pinned, Search
from leadline.ledger.events import Event, Proposed
from leadline.ledger.history import Trial
from leadline.ledger.settings import Settings
from leadline.measure import Measure, Report
from search_spaces.recursive import CENTRES, WIDTHS, band
from search_spaces.sigma_bands.recursive import ARMS, LOG, MATCHED, PAIRS, space
from sweeps.sigma_bands import STUDY
from tests.sweeps.test_families import proposed, settings_of

NOISE = {"sigma_centre", "sigma_width", "mode", "k", "ramp", "p_clean", "location"}


def trials(*arguments: str) -> list[Trial]:
    return proposed(STUDY, settings_of(STUDY, *arguments))


@pytest.mark.parametrize("family", ["trm", "hrm"])
def test_each_noisy_arm_has_a_control_of_the_same_rollout_effort_and_budget(family: str) -> None:
    asked = settings_of(STUDY, "--family", family, "--scale", "full", "--trials", "18")
    assert asked.strata == MATCHED
    counts: dict[str, list[Trial]] = {}
    for trial in proposed(STUDY, asked):
        counts.setdefault(trial.stratum, []).append(trial)
        made = registry.family(family)
        assert made.samples_per_step(made.config(trial.config)) * trial.config["steps"] == asked.budget
    assert {len(found) for found in counts.values()} == {asked.trials // 6}
    for rollout, (noisy, control) in PAIRS.items():
        assert {trial.config["rollout"] for name in (noisy, control) for trial in counts.get(name, [])} <= {rollout}
        assert {trial.config["mode"] for trial in counts.get(control, [])} <= {"none"}
        assert "none" not in {trial.config["mode"] for trial in counts.get(noisy, [])}


def test_a_control_searches_nothing_of_noise_and_k_is_asked_for_several_trajectories_alone() -> None:
    found = trials("--trials", "24")
    for trial in found:
        assert "rollout" not in trial.params
        assert (trial.config["mode"] == "none") == (not NOISE & set(trial.params))
        assert ("k" in trial.params) == (trial.config["mode"] == "multi_perturbed_ce")
    assert {trial.config["mode"] for trial in found} == {"none", "single_perturbed_ce", "multi_perturbed_ce"}


def test_the_rollout_is_searched_where_the_arm_leaves_it_open() -> None:
    found = trials("arm=no noise,sigma band", "--trials", "24")
    assert {trial.config["rollout"] for trial in found} == {"parallel_fixed", "serial_act", "act_mask"}
    assert all("rollout" in trial.params for trial in found)


def test_the_logs_own_settings_are_tried_first() -> None:
    for family in STUDY.families:
        control, noisy = trials("--family", family)[:2]
        assert (control.stratum, noisy.stratum) == MATCHED[:2]
        assert {name: noisy.config[name] for name in ("mode", "k", "location", "ramp", "p_clean")} == {
            name: LOG[name] for name in ("mode", "k", "location", "ramp", "p_clean")
        }
        assert (noisy.config["sigma_min"], noisy.config["sigma_max"]) == (pytest.approx(3e-5), pytest.approx(3e-3))
        assert {name: noisy.config[name] for name in ("lr", "steps", "weight_decay")} == {
            name: control.config[name] for name in ("lr", "steps", "weight_decay")
        }


def test_what_is_fixed_is_left_out_of_what_is_tried_first() -> None:
    first = trials("lr=0.002", "k=2", "sigma_min=1e-4", "location=z_L")[1]
    assert not {"lr", "k", "location", "sigma_centre"} & set(first.params)
    assert first.config["sigma_max"] == pytest.approx(1e-2), "the log's width above the end that is fixed"
    assert (first.config["lr"], first.config["k"], first.config["location"], first.config["sigma_min"]) == (
        0.002,
        2,
        "z_L",
        1e-4,
    )
    single = trials("mode=single_perturbed_ce")[1]
    assert "k" not in single.params
    assert len(settings_of(STUDY, "--trials", "1").enqueue) == 1


def test_a_file_of_configurations_replaces_what_is_tried_first(tmp_path: Any) -> None:
    (tmp_path / "first.yaml").write_text(f"- {{arm: {MATCHED[1]}, sigma_centre: 0.01}}")
    asked = settings_of(STUDY, "--enqueue", str(tmp_path / "first.yaml"))
    assert asked.enqueue == ({"arm": MATCHED[1], "sigma_centre": 0.01},)
    assert proposed(STUDY, asked)[0].params["sigma_centre"] == 0.01


@given(centre=st.floats(*CENTRES), width=st.floats(*WIDTHS))
def test_a_band_is_never_empty_and_lies_around_its_centre(centre: float, width: float) -> None:
    found = band(Pinned(optuna.trial.FixedTrial({"sigma_centre": centre, "sigma_width": width}), {}))
    assert 0 < found["sigma_min"] < found["sigma_max"] <= 100
    assert math.log10(found["sigma_max"] / found["sigma_min"]) == pytest.approx(width)
    assert math.sqrt(found["sigma_max"] * found["sigma_min"]) == pytest.approx(centre)


@pytest.mark.parametrize(
    ("fixed", "asked", "made"),
    [
        ({}, {"sigma_centre", "sigma_width"}, {"sigma_min", "sigma_max"}),
        ({"sigma_min": 1e-4}, {"sigma_width"}, {"sigma_max"}),
        ({"sigma_max": 1e-1}, {"sigma_width"}, {"sigma_min"}),
        ({"sigma_min": 1e-4, "sigma_max": 1e-1}, set(), set()),
        ({"noise": "fixed"}, {"sigma_centre"}, {"sigma_max"}),
        ({"noise": "fixed", "sigma_max": 1e-2}, set(), set()),
        ({"noise": "grid"}, set(), set()),
    ],
)
def test_what_the_user_fixes_is_neither_searched_nor_overridden(
    fixed: dict[str, Any], asked: set[str], made: set[str]
) -> None:
    search = Search(
        space,
        "laptop",
        sampler="random",
        seed=0,
        startup=2,
        pinned={**fixed, "mode": "single_perturbed_ce"},
    )
    params, fields = search.ask(0)
    assert {name for name in params if name.startswith("sigma")} == asked
    assert made <= set(fields)
    assert {name: fields[name] for name in fixed} == fixed
    low, high = fields.get("sigma_min"), fields.get("sigma_max")
    assert low is None or high is None or low < high
    again = Search(
        space,
        "laptop",
        sampler="random",
        seed=0,
        startup=2,
        pinned={**fixed, "mode": "single_perturbed_ce"},
    )
    assert again.replay(0, params) == fields


def test_planned_comparisons_are_those_of_the_arms_that_are_there() -> None:
    (one,) = settings_of(STUDY).contrasts
    assert (one["a"], one["b"], one["margins"]) == (MATCHED[1], MATCHED[0], {"exact": 0.01, "robust": 0.01})
    assert len(settings_of(STUDY, "--scale", "full").contrasts) == 3
    assert settings_of(STUDY, f"arm={MATCHED[0]},{MATCHED[3]}").contrasts == ()
    asked = settings_of(STUDY)
    assert Settings.from_dict(asked.to_dict()) == asked
    assert asked.least_units == 2000 <= asked.fields["test_boards"]
    assert {metric for contrast in STUDY.contrasts for metric in contrast.margins} <= {
        one.name for one in registry.family("trm").metrics
    }
    assert {name for contrast in STUDY.contrasts for name in (contrast.a, contrast.b)} == set(ARMS)


def test_a_rollout_that_every_arm_fixes_is_not_overridden_in_silence() -> None:
    with pytest.raises(ConfigError, match=r"^rollout: is fixed by every arm"):
        settings_of(STUDY, "rollout=serial_act")


def test_a_space_that_refuses_says_so_in_its_own_words() -> None:
    def refusing(trial: Any, scale: str) -> dict[str, Any]:
        raise ConfigError("sigma_min: no")

    search = Search(refusing, "laptop", sampler="random", seed=0, startup=1, pinned={})
    with pytest.raises(ConfigError, match=r"^sigma_min: no$"):
        search.ask(0)


def played(asked: Settings, past: list[Event]) -> list[Event]:
    """A sweep one trial at a time, whose values depend on the configuration alone."""
    events = list(past)
    director = Director(asked, STUDY.space, events.append)
    director.replay(past)
    director.opened({})
    while isinstance(found := director.next(), Assignment):
        director.started(found.trial, found.attempt)
        rows = asked.budget // found.config["steps"]
        for step in range(found.config["eval_every"], found.config["steps"] + 1, found.config["eval_every"]):
            if step <= found.known:
                continue
            value = 1 - abs(math.log10(found.config["lr"] / 2e-3)) / 4 + step * rows / asked.budget
            measure = Measure(value, 512, value - 0.1, value + 0.1)
            if (
                director.reported(
                    found.trial, Report(step, step * rows, 1.0, 0.0, {"validation/exact": measure})
                ).action
                != "continue"
            ):
                break
    return events


@settings(max_examples=5, deadline=None)
@given(cut=st.integers(1, 60))
def test_conditional_parameters_survive_a_cut(cut: int) -> None:
    asked = dataclasses.replace(settings_of(STUDY, "arm=no noise,sigma band"), trials=16, confirm=0, concurrent=1)
    whole = played(asked, [])
    again = played(asked, whole[: min(cut, len(whole) - 1)])

    def made(events: list[Event]) -> list[tuple[int, dict[str, Any]]]:
        return [(event.trial, event.params) for event in events if isinstance(event, Proposed)]

    assert made(again) == made(whole)
