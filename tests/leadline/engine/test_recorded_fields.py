"""Recorded configurations are checked against the family's fields before a sweep goes on."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from leadline.config import ConfigError, TrialConfig, configuration, knob
from leadline.engine.director import Director
from leadline.engine.recorded_params import check_fields
from leadline.engine.run import drive
from leadline.engine.supervisor import BAD_INPUT, Parent
from leadline.ledger.events import Event, Opened, Proposed
from leadline.ledger.segments import Ledger
from leadline.storage import Folder
from tests.leadline.engine.test_director import BASE, Simulation
from tests.leadline.toy import Toy
from tests.leadline.toy_study import STUDY


def recorded(**fields: Any) -> list[Event]:
    """The events of a sweep whose trial 3 had these fields besides its own."""
    return [
        dataclasses.replace(event, config={**event.config, **fields})
        if isinstance(event, Proposed) and event.trial == 3
        else event
        for event in Simulation(BASE).run().events
    ]


@configuration
class Asking(TrialConfig):
    """A configuration whose width has no default."""

    width: int
    height: int = knob(4, "rows", ge=1, le=8)


class AskingToy(Toy):
    Config = Asking  # type: ignore[assignment]


def proposed(**config: Any) -> Proposed:
    fields = {"steps": 8, "eval_every": 4, "micro_batch": 0, "validation_share": 0.25, "seed": 0, **config}
    return Proposed(trial=7, stratum="1", kind="search", of=None, params={}, config=fields, distributions={}, time=0.0)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"hidden": 64}, "trial 3 has hidden=64, which the family toy does not have now; give the field back"),
        ({"lr": 50.0}, "trial 3 does not fit the family toy any more: lr: input should be less than or equal to 10"),
        ({"level": "deep"}, "trial 3 does not fit the family toy any more: level: input should be a valid integer"),
    ],
)
@pytest.mark.parametrize("options", [(), ("--dry-run",)])
def test_a_trial_that_the_family_does_not_take_any_more_is_refused_before_anything_is_written(
    fields: dict[str, Any], said: str, options: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ledger = Ledger(Folder.at(str(tmp_path / "old" / "ledger")))
    for event in recorded(**fields):
        ledger.append(event)
    ledger.close()
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    words = ["--storage", str(tmp_path), "--resume", "old", "--trials", "20", *options]
    assert drive(STUDY, "", words, Parent(0.0, "/nowhere")) == BAD_INPUT
    error = capsys.readouterr().err
    assert error.startswith(f"error: resume: {said}")
    assert error.endswith("or begin a new sweep\n")
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_field_that_was_fixed_for_the_whole_sweep_is_refused_with_its_trial_and_the_remedy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its name stands in the settings too."""
    ledger = Ledger(Folder.at(str(tmp_path / "old" / "ledger")))
    for event in recorded(hidden=64):
        if isinstance(event, Opened):
            event = dataclasses.replace(
                event,
                settings=dataclasses.replace(event.settings, overrides={**event.settings.overrides, "hidden": 64}),
            )
        ledger.append(event)
    ledger.close()
    assert drive(STUDY, "", ["--storage", str(tmp_path), "--resume", "old"], Parent(0.0, "/nowhere")) == BAD_INPUT
    said = capsys.readouterr().err
    assert said.startswith("error: resume: trial 3 has hidden=64, which the family toy does not have now; give the")


def test_a_new_field_without_a_default_is_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"^resume: trial 7 does not fit the family toy any more: width: field required"
    ):
        check_fields(AskingToy(), [proposed()], changed=True)


def test_a_new_field_with_a_default_is_said() -> None:
    (said,) = check_fields(AskingToy(), [proposed(width=3, height=2), proposed(width=3)], changed=True)
    assert said == "the family has new fields, whose defaults stand for trials recorded without them: height=4"
    assert check_fields(AskingToy(), [proposed(width=3, height=2)], changed=True) == []


def test_where_the_familys_code_is_the_same_only_names_are_looked_at() -> None:
    """So that 20,000 trials are checked in no time."""
    assert check_fields(AskingToy(), [proposed(width=3, height=99)], changed=False) == []
    with pytest.raises(ConfigError, match="has depth=1, which"):
        check_fields(AskingToy(), [proposed(width=3, depth=1)], changed=False)


def test_an_infeasible_trial_has_no_configuration_to_check() -> None:
    infeasible = dataclasses.replace(proposed(depth=1), infeasible="depth: impossible")
    assert check_fields(AskingToy(), [infeasible], changed=True) == []


def test_a_space_that_sets_a_new_field_to_other_than_its_default_makes_other_trials() -> None:
    """A trial that was recorded without the field was trained as by the default."""
    past = Simulation(BASE).run().events
    for event in past:
        if isinstance(event, Proposed):
            del event.config["sleep"]
    for value, ends in ((0.0, None), (0.25, r"^sleep: trial 0 has 0.0, and the space makes 0.25 of the same")):

        def space(trial: Any, scale: str, value: float = value) -> dict[str, Any]:
            return {**STUDY.space(trial, scale), "sleep": value}

        director = Director(BASE, space)
        if ends is None:
            director.replay(past)
        else:
            with pytest.raises(ConfigError, match=ends):
                director.replay(past)
