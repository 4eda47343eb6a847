from __future__ import annotations

import dataclasses

import pytest

from sweeps.engine import plan
from tests.sweeps.test_director import BASE, Simulation
from trainables.config import ConfigError
from trainables.storage import Folder


def test_expected_steps_are_those_of_successive_halving() -> None:
    # 9 trials of a single stratum, rungs 1 and 3 of 9: 9 * 1 + 3 * 2 + 1 * 6, and 2 replicates of 9.
    chosen = dataclasses.replace(BASE, strata=(1,), trials=9, confirm=1, replicates=2)
    assert plan.expected_steps(chosen) == 9 + 6 + 6 + 18


def test_a_simulated_sweep_costs_no_less_than_expected() -> None:
    """ASHA's stopping variant lets early arrivals through, never fewer than one in `reduction`."""
    history = Simulation(BASE).run().director.history
    assert sum(trial.step for trial in history.trials.values()) >= plan.expected_steps(BASE)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"steps": 1}, "no rung above grace 1"),
        ({"trials": 4}, "fewer than the reduction 3"),
        ({"trials": 4, "startup": 2}, "the search is random"),
        ({}, None),
    ],
)
def test_sizes_that_make_a_search_pointless_are_said(change: dict[str, int], said: str | None) -> None:
    found = plan.warnings_of(dataclasses.replace(BASE, **change))  # type: ignore[arg-type]
    assert (found == []) if said is None else any(said in line for line in found)


def test_what_does_not_fit_here_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match=r"^cpus-per-trial: .* more than the \d+ CPUs"):
        plan.fitting(1e6, 0, 1)
    with pytest.raises(ConfigError, match=r"^gpus-per-trial: "):
        plan.fitting(1, 1e6, 1)
    assert plan.fitting(1, 0, 1) >= 1


def test_a_space_that_names_no_field_says_so() -> None:
    with pytest.raises(ConfigError, match=r"^space: proposes nothing .* speed: unknown field"):
        plan.check_fits(
            dataclasses.replace(BASE, concurrent=1), lambda trial, scale: {"speed": trial.suggest_float("speed", 0, 1)}, Folder.at(".")
        )
