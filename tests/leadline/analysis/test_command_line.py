from __future__ import annotations

import dataclasses
import datetime
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from leadline import Sweep
from leadline.analysis import terminal
from leadline.commands.dispatch import main
from leadline.heartbeat import Beat
from leadline.ledger.layout import trial_folder
from leadline.ledger.ranges import edges

Build = Any

ROW = [
    "trial",
    "stratum",
    "status",
    "value",
    "n",
    "low",
    "high",
    "step",
    "samples",
    "seconds",
    "reason",
    "marks",
    "checkpoint",
    "config",
    "params",
    "edges",
]


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """The one line of a refused command."""
    assert main(words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    return err


def test_list(build: Build, capsys: pytest.CaptureFixture[str]) -> None:
    whole = build("whole")
    whole.train()
    folder = whole.close()
    part = build("part")
    part.train(2)
    part.close("")
    assert main(["list", f"{folder.parent}/"]) == 0
    out = capsys.readouterr().out
    row = next(line for line in out.splitlines() if "whole" in line)
    assert "finished" in row
    assert "12/12" in row
    assert "(trial " in row
    assert "running" in next(line for line in out.splitlines() if "part" in line)


def read_json(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    """What a command prints, which must be JSON of finite numbers alone."""
    assert main(arguments) == 0

    def refuse(word: str) -> None:
        raise AssertionError(word)

    return json.loads(capsys.readouterr().out, parse_constant=refuse)


def test_list_as_json_says_what_the_table_says(build: Build, capsys: pytest.CaptureFixture[str]) -> None:
    whole = build("whole")
    whole.train()
    folder = whole.close()
    build("begun").close("")
    (build("torn").close() / "ledger" / "00000001.jsonl").unlink()
    found = {row["name"]: row for row in read_json(capsys, "list", str(folder.parent), "--json")}
    row = found["whole"]
    sweep = Sweep.open(folder)
    assert (row["state"], row["ended"], row["trials"], row["study"]) == ("finished", 12, 12, "lookahead")
    for best in row["best"]:
        trial = sweep.best(lookahead=best["stratum"])
        assert (best["trial"], best["value"], best["params"]) == (
            trial.number,
            trial.trial.value("validation/hinge"),
            trial.trial.params,
        )
    assert len(row["best"]) == 2
    assert found["begun"]["best"] == []
    assert set(found["torn"]) == {"name", "unreadable"}
    assert main(["list", str(folder.parent)]) == 0
    table = capsys.readouterr().out
    assert all(f"{best['value']:.4g} (trial {best['trial']})" in " ".join(table.split()) for best in row["best"])
    assert found["begun"]["strata"] == ["10", "100"]
    assert "10: -, 100: -" in table


def test_list_of_an_empty_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", str(tmp_path)]) == 0
    assert "no sweep in" in capsys.readouterr().out
    assert read_json(capsys, "list", str(tmp_path), "--json") == []


def test_list_names_an_unreadable_sweep(build: Build, capsys: pytest.CaptureFixture[str]) -> None:
    folder = build().close()
    (folder / "ledger" / "00000001.jsonl").rename(folder / "ledger" / "00000009.jsonl")
    (folder / "ledger" / "00000010.jsonl").write_text("x\n")
    assert main(["list", str(folder.parent)]) == 0
    assert "unreadable" in capsys.readouterr().out


def test_leaderboard_json_schema(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["leaderboard", str(finished), "--json"]) == 0
    out, err = capsys.readouterr()
    board = json.loads(out)
    assert err == ""
    assert list(board) == ["sweep", "metric", "mode", "stopping_off", "rows", "confirmed", "baselines"]
    assert (board["sweep"], board["metric"], board["mode"]) == ("demo", "hinge", "min")
    assert {tuple(row) for row in board["rows"]} == {tuple(ROW)}
    confirmed = {("trial", "stratum", "value", "low", "high", "replicates", "split", "n", "marks", "against")}
    assert {tuple(row) for row in board["confirmed"]} == confirmed
    first = board["confirmed"][0]["against"][0]
    assert (first["metric"], first["predictor"], first["verdict"], first["missing"]) == (
        "hinge",
        "sum of ln T^k",
        "better than",
        "",
    )
    assert first["difference"]["low"] < first["difference"]["value"] < first["difference"]["high"] < 0
    assert {tuple(row) for row in board["baselines"]} == {("name", "stratum", "value", "n")}


def test_leaderboard_of_a_running_sweep(build: Build, capsys: pytest.CaptureFixture[str]) -> None:
    made = build()
    made.train(2)
    made.ledger.commit()
    assert main(["leaderboard", str(made.folder), "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["rows"]) == 2
    made.close()


def test_warnings_leave_json_alone(build: Build, capsys: pytest.CaptureFixture[str]) -> None:
    made = build()
    made.train(2)
    folder = made.close()
    last = max((folder / "ledger").glob("*.jsonl"))
    last.write_bytes(last.read_bytes()[:-5])
    assert main(["leaderboard", str(folder), "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["sweep"] == "demo"
    assert err.startswith("warning: ledger: damaged tail")


def test_leaderboard_top(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def rows(*words: str) -> int:
        assert main(["leaderboard", str(finished), *words]) == 0
        return len(re.findall(r"^ +\d+ +\d+ ", capsys.readouterr().out, re.MULTILINE))

    assert rows("--top", "1") + 2 == rows("--top", "2") <= rows()


def test_trial_page(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trial", str(finished), "3"]) == 0
    failed = capsys.readouterr().out
    assert "3, 3 of them failed" in failed
    assert "<script>alert('no')" in failed
    assert main(["trial", str(finished), "0"]) == 0
    trained = capsys.readouterr().out
    for words in ("search, lookahead 10", "(searched)", "attempt-01/step-000000100", "1.0"):
        assert words in trained


def test_trial_as_json_says_what_the_page_says(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sweep = Sweep.open(finished)
    for number, view in enumerate(sweep.trials):
        found = read_json(capsys, "trial", str(finished), str(number), "--json")
        trial = view.trial
        assert (found["trial"], found["kind"], found["of"], found["stratum"]) == (
            number,
            trial.kind,
            trial.of,
            trial.stratum,
        )
        assert (found["status"], found["attempts"], found["failures"]) == (trial.status, trial.attempts, trial.failures)
        assert (found["config"], found["params"], found["edges"]) == (trial.config, trial.params, edges(trial))
        assert [report["step"] for report in found["reports"]] == [report.step for report in view.reports]
        assert [report["metrics"] for report in found["reports"]] == [
            report.to_dict()["metrics"] for report in view.reports
        ]
    diverged = read_json(capsys, "trial", str(finished), "5", "--json")["reports"]
    assert None in [report["metrics"]["validation/hinge"]["value"] for report in diverged]


def test_trial_page_of_a_budget_in_samples(build: Build, capsys: pytest.CaptureFixture[str]) -> None:
    made = build(unit="samples", budget=32 * 400, grace=32 * 100, fields={"pool": 64, "batch": 32})
    made.train(1)
    assert main(["trial", str(made.close()), "0"]) == 0
    out = capsys.readouterr().out
    assert "finished after 12,800 of 12,800 samples, step 400" in out
    assert "samples ┃ step" in out
    assert "  3,200 │  100" in out


def test_a_pipe_has_room_unless_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    assert terminal.console().width == terminal.PIPED_WIDTH
    monkeypatch.setenv("COLUMNS", "77")
    assert terminal.console().width == 77


def test_trial_page_shows_the_heartbeat_of_a_trial_that_runs(build: Build, capsys: pytest.CaptureFixture[str]) -> None:
    made = build("beats", strata=(10,))
    made.director.next()
    made.director.started(0, 1)
    folder = made.close("")

    def shown() -> str:
        assert main(["trial", str(folder), "0"]) == 0
        lines = capsys.readouterr().out.splitlines()
        return next(" ".join(line.split()[1:]) for line in lines if line.startswith("heartbeat"))

    assert shown() == "none yet"
    now = datetime.datetime.now(datetime.UTC)
    beat = Beat("x", "evaluating", 100, 1400, 2.5, 520.0, None, now.strftime("%Y-%m-%dT%H:%M:%SZ"), 3600.0)
    file = folder / trial_folder(0) / "attempt-01" / "heartbeat.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps(dataclasses.asdict(beat)))
    assert re.fullmatch(r"\d+ (s|min) ago, evaluating, step 100 of 1,400, 2\.5 steps/s, about 8 min left", shown())
    long_ago = dataclasses.replace(beat, time="2026-01-31T12:00:00Z", interval=10.0)
    file.write_text(json.dumps(dataclasses.asdict(long_ago)))
    assert shown().endswith("left; silent: written every 10 s while it lives")


def test_trial_page_verifies_checkpoints(build: Build, capsys: pytest.CaptureFixture[str]) -> None:
    from leadline.checkpoint import CheckpointStore
    from leadline.storage import Folder

    made = build()
    made.train(1)
    folder = made.close()
    store = CheckpointStore(Folder.at(str(folder / "trials" / "0000")))
    store.publish(100, {"model": {}}, {})
    store.publish(200, {"model": {}}, {})
    (folder / "trials/0000/attempt-01/step-000000200/state.pt").write_bytes(b"x")
    assert main(["trial", str(folder), "0"]) == 0
    out = capsys.readouterr().out
    damaged = {
        one["name"]: one["damaged"] for one in read_json(capsys, "trial", str(folder), "0", "--json")["checkpoints"]
    }
    assert sorted(damaged) == ["attempt-01/step-000000100", "attempt-01/step-000000200"]
    assert [damaged[name] is None for name in sorted(damaged)] == [True, False]
    said = [f"{name} {'intact' if why is None else f'damaged: {why}'}" for name, why in damaged.items()]
    assert out.partition("\ncheckpoints")[2].split() == " ".join(said).split()


def test_report(build: Build, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = build().close()
    assert main(["report", f"{folder}/"]) == 0
    assert capsys.readouterr().out.strip() == str(folder / "report.html")
    assert main(["report", str(folder), "--output", str(tmp_path / "other.html")]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "other.html")
    assert (tmp_path / "other.html").read_text().startswith("<!doctype html>")


def test_bad_input_is_one_line(finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sweep = str(finished)
    assert "no such folder" in refused(capsys, "list", str(tmp_path / "none"))
    assert "no ledger; it holds nothing" in refused(capsys, "leaderboard", str(tmp_path))
    assert "top: must be a whole number" in refused(capsys, "leaderboard", sweep, "--top", "0")
    assert "top: applies to the table" in refused(capsys, "leaderboard", sweep, "--json", "--top", "2")
    assert "no trial 99" in refused(capsys, "trial", sweep, "99")
    assert "must be a trial's number" in refused(capsys, "trial", sweep, "seven")
    assert "is a folder" in refused(capsys, "report", sweep, "--output", str(tmp_path))
    assert "output" in refused(capsys, "report", sweep, "--output", str(tmp_path / "none" / "x.html"))
    assert "did you mean leaderboard?" in refused(capsys, "leaderbord", sweep)
    assert "storage" in refused(capsys, "leaderboard", "nothing://x/y")
    (tmp_path / "file").write_text("x")
    for command in ("leaderboard", "list"):
        assert "is a file, not a folder" in refused(capsys, command, str(tmp_path / "file"))


def test_leaderboard_does_not_import_torch(finished: Path) -> None:
    program = "import sys; from leadline.commands.dispatch import main; code = main(sys.argv[1:]); print('torch' in sys.modules, file=sys.stderr)"  # noqa: E501
    for words in (
        ["leaderboard", str(finished)],
        ["leaderboard", str(finished), "--json"],
        ["list", str(finished.parent)],
    ):
        run = subprocess.run(
            [sys.executable, "-c", program, *words], capture_output=True, text=True, timeout=60, check=True
        )
        assert run.stderr == "False\n"


def test_a_closed_pipe_is_no_error(finished: Path) -> None:
    command = f"{sys.executable} -m leadline leaderboard {finished} --json | true"
    run = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command}"], capture_output=True, text=True, timeout=60, check=False
    )
    assert "Traceback" not in run.stderr
    assert run.returncode == 0


@pytest.mark.parametrize(
    ("words", "start"),
    [
        (["trial", "somewhere"], "NUMBER: is missing; usage: leadline trial"),
        (["report"], "SWEEP: is missing; usage: "),
        (
            ["leaderboard", "somewhere", "--figure"],
            "--figure: unknown option; see --help\n",
        ),
        (["trial", "somewhere", "7", "8"], "8: is not understood; usage: leadline trial "),
        (["--jsn", "list"], "command: no '--jsn'; see leadline --help"),
        (["trial", "s3:/foo", "7"], "storage: s3:/foo has one slash; write s3://foo\n"),
        (["somewhat"], "command: no 'somewhat'; see leadline --help; a command of a family is followed by a sweep"),
    ],
)
def test_a_word_that_is_missing_or_unknown_is_named_first(
    words: list[str], start: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith(f"error: {start}")
