"""The command as it is typed, on a sweep with real checkpoints."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from leadline.commands.dispatch import main
from tests.analysis.scan.subjects import sweep_of


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(sweep_of(tmp_path_factory.mktemp("results") / "demo"))


def answer(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    """The JSON document of a command; anything else on stdout fails."""
    assert main([*words, "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    return err


def test_failures_as_json(sweep: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = answer(capsys, "failures", sweep, "0", "--examples", "1")
    assert found["trial"] == "demo, trial 0"
    assert found["split"] == "addprim_turn_left"
    assert found["bins"][0]["label"] == "exact"
    assert found["bins"][0]["commands"] == 1208
    assert len({one["score"] for one in found["examples"]}) == len(found["examples"])
    assert found["predictors"]["oracle: interpreter"]["exact"]["value"] == 1.0


def test_without_a_number_it_is_the_best_finished_trial(sweep: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert answer(capsys, "failures", sweep)["trial"] == "demo, trial 1"


def test_the_table_fits_the_terminal(
    sweep: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["failures", sweep, "0"]) == 0
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 80
    assert "demo, trial 0" in out
    assert "first wrong token: " in out


def test_bad_words_are_refused(sweep: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert refused(capsys, "failures", sweep, "7").startswith("error: trial: demo has no trial 7")
    assert refused(capsys, "failures", sweep, "x") == "error: NUMBER: must be a trial's number (got 'x')\n"
    assert refused(capsys, "failures", sweep, "0", "--examples", "0").startswith("error: examples: must be a whole")
    unfinished = str(sweep_of(tmp_path / "new", exact=()))
    assert refused(capsys, "failures", unfinished) == "error: NUMBER: no trial of new has finished; name one\n"


def test_a_trial_without_checkpoint_is_refused(sweep: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bare = tmp_path / "demo"
    shutil.copytree(sweep, bare, ignore=shutil.ignore_patterns("trials"))
    assert main(["failures", str(bare), "0"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines()[-1].startswith("error: trial 0: no intact checkpoint at ")
