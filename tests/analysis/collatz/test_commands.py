"""The commands as they are typed, on a sweep with a real checkpoint."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from leadline.analysis.sweep import Sweep
from leadline.commands.dispatch import main
from tests.analysis.collatz.subjects import sweep_of_one

COMMANDS = ("failures", "ablation", "attribution", "lookahead")


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(sweep_of_one(tmp_path_factory.mktemp("results") / "demo", steps=30, eval_every=30))


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


def options(command: str) -> list[str]:
    """What keeps a training short."""
    return {"ablation": ["--steps", "2"], "lookahead": ["--steps", "2", "--replicates", "1", "--at", "20,30"]}.get(
        command, []
    )


@pytest.mark.parametrize(
    ("command", "width"), [*((command, 80) for command in COMMANDS), ("failures", 200), ("lookahead", 200)]
)
def test_tables_fit_the_terminal(
    sweep: str, command: str, width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    assert main([command, sweep, "0", *options(command)]) == 0
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= width
    assert "demo, trial 0" in out
    assert out.count("95 %") >= (4 if width == 200 else 1)
    assert re.search("sum|formula", out)


def test_failures_agree_with_the_ledger(sweep: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = answer(capsys, "failures", sweep, "0")
    last = Sweep.open(sweep).trial(0).reports[-1].metrics
    for name in ("leaked", "unleaked"):
        assert found[f"logged_{name}"][0]["network"] == last[f"validation/logged_{name}"].value
        assert found[f"logged_{name}"][0]["share"] is None
    assert found["test"][0]["steps"] == 15418
    assert found["test"][0]["share"]["n"] == 128
    assert found["predictors"]["constant"]["violations"]["value"] == 1.0


def test_other_answers_as_json(sweep: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert len(answer(capsys, "attribution", sweep, "0")["positions"]) == 20
    curve = answer(capsys, "lookahead", sweep, "0", *options("lookahead"))
    assert [point["lookahead"] for point in curve["points"]] == [20, 30]
    assert len(curve["sentences"]) == 4


@pytest.mark.parametrize("command", ["failures", "attribution"])
def test_a_figure_needs_nothing_else(
    sweep: str, command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "figure.html"
    assert main([command, sweep, "0", "--figure", str(file)]) == 0
    page = file.read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert "Plotly.newPlot" in page
    assert not re.search(r"<(script|link)[^>]+(src|href)=", page)
    assert ("test 2" in page or "logged 626331" in page) == (command == "failures")


def test_a_sweep_of_another_family_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = str(sweep_of_one(tmp_path / "other", family="hrm", steps=1, eval_every=1))
    for command in set(COMMANDS) - {"failures"}:
        begins = f"error: command: no {command!r}; hrm, the family of {other}, brings failures"
        assert refused(capsys, command, other, "0").startswith(begins)


def test_bad_words_are_refused(sweep: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert refused(capsys, "failures", sweep, "7").startswith("error: trial: demo has no trial 7")
    assert refused(capsys, "failures", sweep, "0", "--figure", str(tmp_path)).startswith("error: figure: ")
    assert refused(capsys, "attribution", sweep, "0", "--figure", str(tmp_path / "no" / "f.html")).startswith(
        "error: figure: "
    )
    assert refused(capsys, "lookahead", sweep, "0", "--to", "20").startswith("error: to: must be above")
    assert refused(capsys, "lookahead", sweep, "0", "--at", "20,201").startswith(
        "error: at: lookaheads are at most 200"
    )
    assert refused(capsys, "lookahead", sweep, "0", "--at", "20,x").startswith("error: at: must be a whole number")
    assert refused(capsys, "lookahead", sweep, "0", "--at", "20", "--to", "100").startswith("error: to: applies to")
    for command in ("ablation", "lookahead"):
        for option in ("steps", "replicates"):
            assert refused(capsys, command, sweep, "0", f"--{option}", "0").startswith(
                f"error: {option}: must be a whole number of"
            )
    assert refused(capsys, "attribution", sweep, "x") == "error: NUMBER: must be a trial's number (got 'x')\n"


def test_a_figure_that_cannot_be_written_is_refused_and_nothing_shown(
    sweep: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for command in ("failures", "attribution"):
        assert refused(capsys, command, sweep, "0", "--figure", "/proc/figure.html").startswith(
            "error: figure: cannot write /proc/fig"
        )


def test_a_trial_without_checkpoint_is_refused(sweep: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bare = tmp_path / "demo"
    shutil.copytree(sweep, bare, ignore=shutil.ignore_patterns("trials"))
    for command in ("failures", "ablation", "attribution"):
        assert main([command, str(bare), "0"]) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert err.splitlines()[-1].startswith("error: trial 0: no intact checkpoint at ")
    assert answer(capsys, "lookahead", str(bare), "0", *options("lookahead"))["steps"] == 2, "which needs no weights"


def test_ablation_pairs_as_many_replicates_as_are_asked_for(sweep: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ablation", sweep, "0", "--steps", "1", "--replicates", "2", "--json"]) == 0
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert len(found["seeds"]) == 2
    assert err.startswith(f"trains {2 * (1 + len(found['groups']))} networks of 1 step: ")
    trainings = [line for line in err.splitlines() if "replicate" in line]
    assert len(trainings) == 2 * (1 + len(found["groups"]))
    assert {effect["scope"] for effect in found["effects"]} == {"one network", "no claim: only 2 of 5 replicates"}


def test_a_lookahead_says_first_what_it_trains(sweep: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lookahead", sweep, "0", *options("lookahead")]) == 0
    out, err = capsys.readouterr()
    lines = err.splitlines()
    assert lines[0] == "trains 2 networks of 2 steps: at lookahead 20, 30"
    assert [line.split(":")[0] for line in lines[1:]] == [f"lookahead {at}, replicate 1 of 1" for at in (20, 30)]
    assert not set(lines) & set(out.splitlines())


def test_a_pipe_gets_the_wide_table(
    sweep: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    assert main(["failures", sweep, "0"]) == 0
    wide = capsys.readouterr().out
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["failures", sweep, "0"]) == 0
    narrow = capsys.readouterr().out
    assert max(map(len, wide.splitlines())) > 130
    assert "network only" in wide.splitlines()[2]
    assert "mean over orbits, then counts" in wide
    assert "then counts" not in narrow


def test_an_interrupt_leaves_130(
    sweep: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(line: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("analysis.collatz.commands._say", interrupt)
    for command in ("ablation", "lookahead"):
        assert main([command, sweep, "0", *options(command)]) == 130
        assert capsys.readouterr().err == "interrupted\n"


def test_other_commands_do_not_load_torch(sweep: str) -> None:
    from tests.conftest import command

    done = command(
        "-c",
        f"import sys; from leadline.commands.dispatch import main; main(['leaderboard', {sweep!r}]); sys.exit(3 if 'torch' in sys.modules else 0)",  # noqa: E501
    )
    assert done.returncode == 0, done.stderr
