"""`leadline train`, as a person types it."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from leadline.checkpoint import CheckpointStore
from leadline.commands import dispatch
from leadline.commands.train import NOT_KEPT
from leadline.config import describe
from leadline.finding import Finding
from leadline.ledger.events import Opened, Proposed, Reported
from leadline.ledger.segments import Ledger
from leadline.measure import Measure, Report
from leadline.storage import Folder
from leadline.task import Split
from tests.conftest import ROOT, command
from tests.leadline.engine.test_director import BASE
from tests.leadline.toy import Toy
from trainables.collatz.config import CollatzConfig


def main(words: list[str]) -> int:
    """`leadline train WORDS`, in this process."""
    return dispatch.main(["train", *words])


TINY = ["collatz", "layers=16", "batch=32", "pool=1024", "steps=50", "eval_every=20"]


def lines_of(text: str) -> list[str]:
    """Lines without wall-clock times, and without what guards say of the machine."""
    machine = ("    note: memory", "    guard: memory", "    note: throughput", "    guard: throughput")
    return [re.sub(r" after [0-9.]+ s", "", line) for line in text.splitlines() if not line.startswith(machine)]


def test_alone_it_shows_its_manual_and_the_families() -> None:
    done = command("-m", "trainables")
    assert (done.returncode, done.stderr) == (0, "")
    assert "leadline train collatz lookahead=100 steps=2000" in done.stdout
    assert re.search(r"^families: .*\bcollatz\b", done.stdout, re.MULTILINE)


def test_the_help_of_a_family_shows_every_field(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["collatz", "--help"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    for name, kind, default, doc in describe(CollatzConfig):
        assert f" {name}={kind} {' '.join(doc.split())} [{default}]" in shown, name


def test_a_short_training_shows_scores_and_baselines() -> None:
    done = command("-m", "trainables", *TINY)
    assert (done.returncode, done.stderr) == (0, "")
    steps = [line for line in lines_of(done.stdout) if line.startswith("step ")]
    assert [line.split(":")[0] for line in steps] == ["step 20/50", "step 40/50", "step 50/50"]
    assert all(
        re.search(r": hinge [0-9.]+ \[[0-9.]+, [0-9.]+\] n=\d+, violations .*; loss [0-9.]+$", line) for line in steps
    )
    assert re.search(r"^overlap_random: 0 of 1024 random rows", done.stdout, re.MULTILINE)
    assert re.search(r"^constant: hinge 1.05", done.stdout, re.MULTILINE)
    assert lines_of(command("-m", "trainables", *TINY).stdout) == lines_of(done.stdout), "the same again"


def test_a_bad_field_is_one_line_and_code_2() -> None:
    done = command("-m", "trainables", "collatz", "lookahed=3")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: lookahed: unknown field of collatz; did you mean lookahead?\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["colatz"], "family: no 'colatz'; installed: "),
        (["colatz", "--help"], "family: no 'colatz'; installed: "),
        ([":COLLATZ"], "family: ':COLLATZ' is neither a name nor "),
        (["collatz", "lookahead"], "lookahead: expected field=value"),
        (["collatz", "lr=nan"], "lr: input should be a finite number"),
        (["collatz", "lr=1", "lr=2"], "lr: given twice"),
        (["collatz", "layers="], "layers: nothing stands after the sign; give a value"),
        (["collatz", "--preset", "run7", "--scale", "2"], "scale: must be a number above 0 and at most 1 (got '2')"),
        (["collatz", "--preset", "run7", "--scale", "nan"], "scale: must be a number above 0 and at most 1"),
        (["__main__:MINE"], "family: __main__:MINE is found in no other process"),
        (["collatz", "--device", "abacus"], "device: cannot use abacus: "),
        (["collatz", "--save"], "save: expected one argument"),
        (["collatz", "--sav", "x"], "--sav: unknown option; did you mean --save?\n"),
        (["collatz", "--xyz=1"], "--xyz: unknown option; see --help\n"),
        (["collatz", "--save", "s3://key:secret@bucket/x"], "storage: credentials belong"),
        (["--from", "nowhere"], "from: say which trial"),
        (["--from", "nowhere/here", "7"], "from: there is no sweep at nowhere/here\n"),
        (["--from", "s3:/nowhere", "7"], "storage: s3:/nowhere has one slash; write s3://nowhere\n"),
    ],
)
def test_other_bad_input_is_one_line_too(
    arguments: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"error: {message}")
    assert told.count("\n") == 1
    assert not list(tmp_path.iterdir())


class Refusable(Toy):
    """The toy with another audit, or other trivial predictors."""

    def __init__(self, *, guard: str = "overlap", failed: bool = False, baseline: str = "zero") -> None:
        self.found, self.baseline = Finding(guard, failed, 1.0, "1 row is shared"), baseline

    def audit(self, config: Any, data: Any) -> list[Finding]:
        return [self.found]

    def baselines(self, config: Any, data: Any, split: Split) -> dict[str, dict[str, Measure]]:
        return {self.baseline: super().baselines(config, data, split)["zero"]} if self.baseline else {}


class Leaving(Refusable):
    """The toy whose data is missing."""

    def build_data(self, config: Any) -> Any:
        sys.exit(0)


LEAVING = Leaving()


def test_a_family_that_exits_is_no_success() -> None:
    with pytest.raises(RuntimeError, match=r"^sys.exit was called: 0$"):
        main(["tests.trainables.test_train_command:LEAVING"])


ADMITTED, LEAKING = Refusable(), Refusable(failed=True)
UNAUDITED, UNCOMPARED = Refusable(guard="table"), Refusable(baseline="oracle: the answer")
NEITHER = Refusable(guard="table", baseline="")


@pytest.mark.parametrize(
    ("name", "refused"),
    [
        ("ADMITTED", ""),
        ("LEAKING", "refused by the overlap audit: 1 row is shared\n"),
        ("UNAUDITED", "refused audit: toy's has no finding named overlap..., so a leak would go unseen\n"),
        ("UNCOMPARED", "refused baselines: toy has none that is not an oracle\n"),
        (
            "NEITHER",
            "refused audit: toy's has no finding named overlap..., so a leak would go unseen\n"
            "refused baselines: toy has none that is not an oracle\n",
        ),
    ],
)
def test_what_a_sweep_refuses_is_not_trained_here_either(
    name: str, refused: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main([f"tests.trainables.test_train_command:{name}", "steps=20", "eval_every=20"])
    out, err = capsys.readouterr()
    assert (code, err) == (2 if refused else 0, refused)
    assert ("step 20/20" in out) is (not refused)


def test_a_trial_of_a_sweep_is_trained_again_with_its_own_micro_batch(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[float] = []
    monkeypatch.setattr("leadline.training.loop.fastest", lambda loop: seen.append(0))
    ledger = Ledger(Folder.at(str(tmp_path)) / "ledger")
    chosen = {"steps": 20, "eval_every": 20, "micro_batch": "auto"}
    report = Report(20, 0, 0.0, 0.0, {}, {"micro_batch": 4.0})
    settings = dataclasses.replace(BASE, family=f"{__name__}:ADMITTED")
    ledger.append(Opened(settings=settings, manifest={}, time=0.0))
    ledger.append(Proposed(trial=0, stratum="", kind="search", of=None, params={}, config=chosen, time=0.0))
    ledger.append(Reported(trial=0, report=report, action="finish", reason="", time=0.0))
    ledger.close()
    assert main(["--from", str(tmp_path), "0", "--save", str(tmp_path / "run")]) == 0
    assert "step 20/20" in capsys.readouterr().out
    newest = CheckpointStore(Folder.at(str(tmp_path / "run"))).newest()
    assert newest is not None
    assert newest.record["history"][-1]["facts"]["micro_batch"] == 4
    assert not seen


def test_a_saved_run_that_is_killed_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Killed as soon as it has said its first score, wherever it has got to by then."""
    save = ["--save", str(tmp_path / "run")]
    with subprocess.Popen(
        [sys.executable, "-u", "-m", "trainables", *TINY, *save], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        heard = next(line for line in process.stdout if line.startswith("step "))
        process.kill()
    assert main([*TINY, *save]) == 0
    resumed = capsys.readouterr().out
    assert heard in resumed, "with its time, since it is history"
    assert main(TINY) == 0
    *same, last = lines_of(capsys.readouterr().out)
    assert (lines_of(resumed), last) == (same, NOT_KEPT)


def test_a_saved_run_is_not_continued_by_another(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save = ["--save", str(tmp_path / "run")]
    assert main([*TINY, *save]) == 0
    capsys.readouterr()
    assert main([*TINY, *save, "lr=0.1"]) == 2
    assert capsys.readouterr().err == f"error: lr: {tmp_path}/run holds a run with lr=0.001; save this one elsewhere\n"
    assert main([*(word for word in TINY if not word.startswith("eval_every")), *save, "eval_every=10"]) == 0
