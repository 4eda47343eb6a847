"""Plans whose steps do not fit the memory are refused, and the line says what would fit."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from leadline.config import ConfigError
from leadline.engine import memory_check, plan
from leadline.ledger.settings import Settings
from leadline.training.memory_plan import needed
from tests.leadline.engine.test_director import BASE
from tests.leadline.training.test_memory_plan import DEEP

MB = 1e6


def settings(**fields: Any) -> Settings:
    return dataclasses.replace(
        BASE,
        family="tests.leadline.training.test_memory_plan:DEEP",
        metric="error",
        stratify=None,
        strata=(None,),
        fields=fields,
        concurrent=2,
    )


def space(trial: Any, scale: str) -> dict[str, Any]:
    return {"lr": trial.suggest_float("lr", 0.01, 0.1)}


def peak(**fields: Any) -> int:
    return needed(DEEP, DEEP.config(fields), None).peak


def refusal(monkeypatch: pytest.MonkeyPatch, limit: float, **fields: Any) -> str:
    """What the check says of a configuration where each process may hold so much."""
    monkeypatch.setattr(memory_check, "limit_of", lambda settings, at_once: limit)
    with pytest.raises(ConfigError) as error:
        plan.check_memory(settings(**fields), space, 2**20)
    return str(error.value)


def test_a_micro_batch_that_fits_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    said = refusal(monkeypatch, peak(batch=4096, micro_batch="1/4"), batch=4096)
    whole = peak(batch=4096) / MB
    quarter = peak(batch=4096, micro_batch="1/4") / MB
    assert said == (
        f"micro_batch: a full step needs {whole:.3g} MB, and a trial may hold {quarter:.3g} MB with 2 at a time; "
        "micro_batch=1/4 fits"
    )


def test_fewer_trials_at_a_time_are_named_where_no_micro_batch_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    said = refusal(monkeypatch, 0.6 * peak(batch=1), batch=1)
    assert said.startswith("concurrent: ")
    assert said.endswith("--concurrent 1 fits")


def test_else_the_batch_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert refusal(monkeypatch, 1 * MB, batch=4096).startswith("batch: a full step needs ")


def test_what_fits_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_check, "limit_of", lambda settings, at_once: 1e9)
    said = plan.check_memory(settings(batch=4096), space, 2**20)
    assert said.startswith(
        f"a full step needs {peak(batch=4096) / MB:.3g} MB with micro-batches of 4096 rows: weights "
    )


def test_what_is_plainly_small_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*given: Any) -> Any:
        raise AssertionError("asked")

    monkeypatch.setattr(memory_check, "told", never)
    monkeypatch.setattr(memory_check, "limit_of", lambda settings, at_once: 1e9)
    assert plan.check_memory(settings(batch=64), space, 2**10) == ""
    with pytest.raises(AssertionError, match="asked"):
        plan.check_memory(settings(batch=64), space, 2**20)


def test_what_cannot_be_told_refuses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_check, "limit_of", lambda settings, at_once: 1.0)
    assert plan.check_memory(settings(asks="numpy"), space, 2**20).startswith("not known: ")


def test_the_plan_tells_it_before_a_step_is_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "_seconds_per_step", lambda *given: 0.1)
    assert "\nmemory      a full step needs " in plan.describe(settings(), space)
    monkeypatch.setattr(memory_check, "limit_of", lambda settings, at_once: 1.0)
    with pytest.raises(ConfigError, match=r"^batch: a full step needs "):
        plan.describe(settings(), space)


def test_trials_at_a_time_and_their_workers_share_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    class Meter:
        def limit(self) -> float:
            return 12e9

    monkeypatch.setattr(memory_check, "meter", lambda device: Meter())
    assert memory_check.limit_of(settings(), 3) == 4e9
    assert memory_check.limit_of(dataclasses.replace(settings(), workers_per_trial=2), 3) == 2e9
