"""The search space in words, as `--help` and `--dry-run` have it."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from leadline.engine import options, plan
from leadline.engine.space_text import fields_in_words, searched, space_text
from tests.leadline.engine.test_director import BASE
from tests.leadline.toy_study import STUDY


def space(trial: Any, scale: str) -> dict[str, Any]:
    """A space in which one parameter is asked for beside one value of another alone."""
    pool = trial.suggest_categorical("pool", ["mean", "attention"])
    heads = {"heads": trial.suggest_int("heads", 2, 8, step=2)} if pool == "attention" else {}
    return {"pool": pool, "lr": trial.suggest_float("lr", 1e-4, 1e-2, log=True), **heads}


def failing(trial: Any, scale: str) -> dict[str, Any]:
    trial.suggest_float("lr", 0.0, 1.0)
    raise ArithmeticError("after one")


def test_what_is_asked_for_now_and_then_is_found_and_what_is_fixed_is_not_searched() -> None:
    fixed: dict[str, dict[str, Any]] = {
        "plain": {},
        "mean": {"pool": "mean"},
        "again": {},
        "all": {"pool": "mean", "lr": 0.1},
    }
    found = searched(space, "laptop", fixed)
    assert space_text(found, "arm") == [
        "arm plain, again:",
        "  pool   {mean, attention}",
        "  lr     [0.0001, 0.01] log",
        "  heads  [2, 8] in steps of 2",
        "arm mean:",
        "  lr  [0.0001, 0.01] log",
        "arm all:",
        "  nothing",
    ]
    assert space_text({"one": found["mean"]}, "arm") == ["lr  [0.0001, 0.01] log"]


def test_a_space_that_fails_is_told_as_far_as_it_got() -> None:
    assert space_text(searched(failing, "smoke", {"": {}}), "stratum") == ["lr  [0, 1]"]


def test_fields_in_words() -> None:
    assert (
        fields_in_words({"lr": 0.00123456, "layers": [64, 64], "skip": True}) == "lr=0.001235, layers=64,64, skip=True"
    )
    assert fields_in_words({}) == "nothing"


def test_the_dry_run_has_it_without_what_the_user_fixes() -> None:
    text = plan.describe(dataclasses.replace(BASE, overrides={"lr": 0.1}), STUDY.space)
    assert "\nsearched    offset  [0, 1]\nfixed       lr=0.1\n" in text
    text = plan.describe(BASE, STUDY.space)
    assert "\nsearched    lr      [0.001, 0.3] log\n            offset  [0, 1]\nfixed " in text


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_help_has_it_and_is_as_wide_as_the_terminal(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    manual = f"What is asked?\n\n{'some words ' * 40}\n\n    python x.py            {'what it is ' * 12}\n"
    with pytest.raises(SystemExit):
        options.parse(STUDY, ["--help", "--scale", "smoke"], manual)
    lines = capsys.readouterr().out.splitlines()
    assert width - 12 < max(map(len, lines)) <= width
    at = lines.index("searched at --scale smoke:")
    assert [line.split("  ")[1].strip() for line in lines[at + 1 : at + 5]] == ["lr", "offset", "dealt", "fixed"]
    assert "level: 1, 2" in lines[at + 3]
    assert lines[at + 2].split() == ["offset", "[0,", "1]"]
