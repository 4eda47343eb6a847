"""The study of the plateau: arms that differ in what they are named after, on the same boards."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from leadline.config import make, to_dict
from search_spaces.plateau.arc_hrm import ARMS, DEFAULT
from sweeps.plateau import STUDY
from tests.sweeps.test_families import proposed, settings_of
from trainables.arc_hrm.config import ArcHRMConfig
from trainables.arc_hrm.family import ARC_HRM

EVERY = dataclasses.replace(
    STUDY,
    scales={name: dataclasses.replace(scale, strata=tuple(ARMS)) for name, scale in STUDY.scales.items()},
    contrasts=(),
)


def configs(scale: str, *arguments: str) -> dict[str, ArcHRMConfig]:
    """The first configuration of every arm."""
    settings = settings_of(EVERY, "--scale", scale, "--trials", str(len(ARMS)), *arguments)
    return {trial.stratum: ARC_HRM.config(trial.config) for trial in proposed(EVERY, settings)}


@pytest.mark.parametrize("scale", ["smoke", "laptop"])
def test_all_arms_have_the_same_boards_and_as_many_of_them(scale: str) -> None:
    found = configs(scale)
    assert found.keys() == ARMS.keys()
    assert len({config.data_key for config in found.values()}) == 1
    assert {config.steps * config.batch for config in found.values()} == {STUDY.scales[scale].budget}


def differing(one: ArcHRMConfig, other: ArcHRMConfig) -> dict[str, Any]:
    searched = {"seed", "lr", "weight_decay"}
    first, second = to_dict(one), to_dict(other)
    return {name: value for name, value in second.items() if value != first[name] and name not in searched}


def test_default_arms_take_away_one_thing_after_the_other() -> None:
    found = configs("laptop")
    session5, ignored, shown = (found[arm] for arm in DEFAULT)
    assert differing(session5, ignored) == {"pad": "ignored"}
    assert differing(ignored, shown) == {"demonstrations_in_input": True}
    assert differing(session5, found["wider"]) == {"hidden": 2 * session5.hidden}
    assert differing(found["session 3"], session5) == {"label_smoothing": 0.1, "schedule": "restarts"}
    assert differing(found["session 3"], found["session 4"]) == {"micro_batch": 8}


def test_the_full_size_is_the_log_s_and_may_be_tested_on_arc_agi_2() -> None:
    found = configs("full", "data_set=arcagi1_to_2")
    session5 = found["session 5"]
    assert len({config.data_key for config in found.values()}) == 1
    assert (session5.hidden, session5.h_layers, session5.l_layers, session5.size) == (256, 4, 3, 30)
    assert {config.puzzle.data_set for config in found.values()} == {"arcagi1_to_2"}  # type: ignore[attr-defined]
    assert found["27m"].hidden == 560
    assert make(ArcHRMConfig, to_dict(session5)) == session5


@pytest.mark.parametrize("scale", list(STUDY.scales))
def test_a_rate_that_restarts_does_so_within_the_budget(scale: str) -> None:
    periods = [one.steps / one.restart_period for one in configs(scale).values() if one.schedule == "restarts"]
    assert len(periods) == 6
    assert min(periods) >= 2, "a whole cosine is left after a restart"


def test_contrasts_are_of_default_arms() -> None:
    assert {arm for contrast in STUDY.contrasts for arm in (contrast.a, contrast.b)} == set(DEFAULT)
