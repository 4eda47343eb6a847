"""The study lookahead as a user runs it, from the command to the loaded model: real Ray, real processes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.conftest import command
from tests.leadline.engine.test_sweep import board_of, history_of

pytestmark = pytest.mark.sweep


def test_the_lookahead_sweep_from_command_to_loaded_model(scratch: Path) -> None:
    run = command(
        "sweeps/lookahead.py", "--scale", "smoke", "--name", "s", "--storage", str(scratch), "--concurrent", "1"
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert run.stderr == ""
    for said in (
        "confirmed",
        "best         lookahead 100: trial",
        "report       ",
        "sweep        ",
        "first step   after",
        "per trial    ",
    ):
        assert said in run.stdout
    assert "(pid=" not in run.stdout
    assert "WARNING" not in run.stdout
    _check_board(board_of(scratch, "s"))
    assert (scratch / "s" / "report.html").stat().st_size > 10_000
    _check_tensorboard(scratch / "s" / "tensorboard")
    _check_reuse(scratch / "s", scratch)
    program = "import sys, leadline as a; m = a.Sweep.open(sys.argv[1]).best(lookahead=100).load(); print(type(m).__name__, m.training)"  # noqa: E501
    assert command("-c", program, str(scratch / "s")).stdout == "LyapunovNet False\n"


def _check_board(board: dict[str, Any]) -> None:
    assert [len([row for row in board["rows"] if row["stratum"] == stratum]) for stratum in ("10", "100")] == [3, 3]
    assert all(row["low"] <= row["value"] <= row["high"] and row["n"] == 64 for row in board["rows"])
    assert {(row["stratum"], row["split"], row["replicates"]) for row in board["confirmed"]} == {
        ("10", "test", 1),
        ("100", "test", 1),
    }
    assert {line["name"] for line in board["baselines"] if line["stratum"] == "100"} >= {
        "ln n",
        "constant",
        "sum of ln T^k",
    }


def _check_tensorboard(folder: Path) -> None:
    """Reads the event files with TensorBoard itself: a curve and the hyperparameters of a trial."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder / "trial-0000"))
    events.Reload()
    assert events.Scalars("validation/hinge")[0].step == 10
    assert "_hparams_/session_start_info" in events.PluginTagToContent("hparams")


def _check_reuse(sweep: Path, scratch: Path) -> None:
    """A trial of a process that had run others before equals the same trial in a fresh process, bit for bit."""
    logs = {path.parent.parent.name: path.read_text() for path in sweep.glob("trials/*/attempt-01/log.txt")}
    processes = {number: log.split(" in process ")[1].split(",")[0] for number, log in logs.items()}
    assert len(set(processes.values())) == 1, "one place, no failure: one process ran all trials"
    finished = [
        trial.number for trial in history_of(sweep.parent, sweep.name).search_trials() if trial.status == "finished"
    ]
    reused = f"{max(number for number in finished if number > 0):04d}"
    fresh = command("-m", "trainables", "--from", str(sweep), str(int(reused)), "--save", str(scratch / "fresh"))
    assert fresh.returncode == 0, fresh.stderr
    program = (
        "import sys\nfrom leadline.checkpoint import CheckpointStore\nfrom leadline.storage import Folder\n"
        "from leadline.testing import digest, training_state\n"
        "one, two = (CheckpointStore(Folder.at(path)) for path in sys.argv[1:])\n"
        "last = one.newest()\nsame = two.load(last.name)\n"
        "print(last.step, digest(training_state(last)) == digest(training_state(same)))"
    )
    compared = command("-c", program, str(sweep / "trials" / reused), str(scratch / "fresh"))
    assert compared.stdout.split() == ["90", "True"], compared.stderr
