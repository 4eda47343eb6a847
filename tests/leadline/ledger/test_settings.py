"""The settings as the ledger records them: the same keys as ever, read from older and from newer versions."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from leadline.ledger.events import Opened
from leadline.ledger.format import lines
from leadline.ledger.history import History
from leadline.ledger.reader import read, scan
from leadline.ledger.segments import Ledger
from leadline.ledger.settings import CHANGEABLE, Settings
from leadline.storage import Folder
from tests.leadline.engine.test_director import BASE

RECORDED = (
    '{"study": "toy", "family": "tests.leadline.toy:TOY", "metric": "error", "mode": "min", "sampler": "tpe", "scale": "laptop", '  # noqa: E501
    '"stratify": "level", "strata": [1, 2], "trials": 12, "steps": 9, "grace": 1, "reduction": 3, "startup": 2, "seed": 5, '  # noqa: E501
    '"confirm": 1, "replicates": 2, "fields": {}, "overrides": {}, "enqueue": [], "time_limit": null, "target": null, '
    '"concurrent": 3, "cpus_per_trial": 1.0, "gpus_per_trial": 0.0, "workers_per_trial": 1, "max_failures": 2, "beside": [], '  # noqa: E501
    '"modes": {}, "metrics": {}, "family_target": "", "question": "", "arms": {}, "unit": "steps", "comparable": false, "stuck_after": 600.0, '  # noqa: E501
    '"storage_patience": 120.0, "where": {}, "contrasts": [], "least_units": 0, "most_workers_per_trial": null, '
    '"scheduler": "weighed", "until": null, "mirror": ""}'
)


def test_what_is_recorded_is_what_it_always_was() -> None:
    """The budget's key too, which is `steps` also where it counts samples."""
    assert json.dumps(BASE.to_dict()) == RECORDED
    assert Settings.from_dict(json.loads(RECORDED)) == BASE


def test_what_comes_back_is_what_was_asked_for() -> None:
    asked = dataclasses.replace(
        BASE,
        unit="samples",
        enqueue=({"lr": 0.1, "layers": [8, 8]},),
        contrasts=({"a": "1", "b": "2", "margins": {"error": 0.1}},),
        arms={"1": {"lr": 0.1}},
        where={"gpu": "a100"},
        beside=("misses",),
    )
    assert Settings.from_dict(asked.to_dict()) == asked


@pytest.mark.parametrize("arms", [{}, {"1": {}, "2": {}}])
def test_what_an_older_version_did_not_record_has_its_default(arms: dict[str, Any]) -> None:
    since: tuple[str, ...] = (
        "storage_patience",
        "where",
        "contrasts",
        "least_units",
        "most_workers_per_trial",
        "comparable",
    )
    since += ("unit", "scheduler", "until", "mirror")
    older = {name: value for name, value in json.loads(RECORDED).items() if name not in since}
    assert Settings.from_dict({**older, "arms": arms}) == dataclasses.replace(
        BASE, arms=arms, comparable=bool(arms), scheduler="asha"
    )


def test_a_ledger_of_schema_1(golden: Path) -> None:
    settings = History.of(read(Folder.at(str(golden / "ledger-schema-1" / "ledger")))).settings
    assert (settings.study, settings.budget, settings.strata, settings.stuck_after) == ("toy", 27, (1, 2), 600.0)
    assert settings.scheduler == "asha", "as trials were stopped then"
    assert (settings.storage_patience, settings.where, settings.contrasts, settings.least_units) == (120.0, {}, (), 0)


def test_what_a_newer_version_has_recorded_is_passed_over_and_named(tmp_path: Path) -> None:
    newer = {**BASE.to_dict(), "colour": "red"}
    assert Settings.from_dict(newer) == BASE
    assert Settings.unknown(newer) == ["colour"]
    ledger = Ledger(Folder.at(str(tmp_path / "ledger")))
    ledger.append(Opened(settings=BASE, manifest={}, time=1.0))
    ledger._pending[:] = [lines([{"type": "opened", "settings": newer, "manifest": {}, "time": 1.0}])]
    ledger.close()
    found = scan(Folder.at(str(tmp_path / "ledger")))
    assert History.of(found.events).settings == BASE
    assert found.newer_settings == ["colour"]


def test_before_it_was_opened_there_are_none() -> None:
    history = History()
    assert (history.opened, history.budget) == (None, 0)
    with pytest.raises(ValueError, match="what the sweep was asked for"):
        _ = history.settings


def test_what_may_change_are_fields() -> None:
    assert {field.name for field in dataclasses.fields(Settings)} >= set(CHANGEABLE)
