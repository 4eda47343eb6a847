"""What the process of an attempt passes on of what a family says. Without Ray."""

from __future__ import annotations

import sys
import traceback
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch

from leadline.config import make, to_dict
from leadline.engine.ray import workers
from leadline.ledger.events import Noted
from leadline.ledger.layout import trial_folder
from leadline.ledger.segments import read
from leadline.ledger.settings import Settings
from leadline.storage import Folder
from leadline.task import Batch
from tests.leadline.engine.test_attempt_log import stored
from tests.leadline.engine.test_director import BASE
from tests.leadline.in_process_sweep import here, play
from tests.leadline.toy import Toy, ToyConfig, ToyTask


class TalkativeTask(ToyTask):
    def batch(self, step: int) -> Batch:
        warnings.warn(f"step {step} is odd", stacklevel=1)
        warnings.warn("always the same", stacklevel=1)
        warnings.warn("about code", DeprecationWarning, stacklevel=1)
        print("prints at", step)
        print("errs at", step, file=sys.stderr)
        return super().batch(step)


class Talkative(Toy):
    name = "talkative"

    def task(self, config: ToyConfig, data: Any, device: torch.device) -> TalkativeTask:
        return TalkativeTask(config, device)


TALKATIVE = Talkative()

HALF = "cannot read \udcff.txt"
"""With half a surrogate pair, as the name of a file that is not UTF-8 has it."""


class SkippingTask(ToyTask):
    def batch(self, step: int) -> Batch:
        warnings.warn(HALF, stacklevel=1)
        print(HALF)
        if step == 4:
            raise OSError(HALF)
        return super().batch(step)


class Skipping(Toy):
    name = "skipping"

    def task(self, config: ToyConfig, data: Any, device: torch.device) -> SkippingTask:
        return SkippingTask(config, device)


SKIPPING = Skipping()


def _spec(family: str, folder: Path) -> workers.AttemptSpec:
    return workers.AttemptSpec(
        trial=0, attempt=2, family=f"{__name__}:{family}", config=to_dict(make(ToyConfig, {"steps": 6, "eval_every": 3})), folder=str(folder),  # noqa: E501
        data_key="", data=b"", cpus=1, gpus=0, workers=1, metric="error", rungs=(), test=False, known=0, stuck_after=60, patience=60, stacks=str(folder / "stacks"),  # noqa: E501
    )  # fmt: skip


def test_prints_are_in_the_log_and_warnings_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(workers, "_data", lambda spec: None)
    monkeypatch.setattr(workers, "this_process", here)
    told = [warned for _, warned, _ in workers.one_process(_spec("TALKATIVE", tmp_path))]
    assert told == [{"step 0 is odd": 3, "always the same": 3}, {"step 3 is odd": 3, "always the same": 3}]
    lines = stored(tmp_path / "attempt-02").splitlines()
    said = [line for line in lines if line.startswith(("prints", "errs"))]
    assert said == [f"{verb} at {step}" for step in range(6) for verb in ("prints", "errs")]
    assert [line for line in lines if line.startswith("UserWarning")] == [
        "UserWarning: step 0 is odd",
        "UserWarning: always the same",
        "UserWarning: step 1 is odd",
        "UserWarning: step 2 is odd",
        "UserWarning: step 3 is odd",
        "UserWarning: always the same",
        "UserWarning: step 4 is odd",
        "UserWarning: step 5 is odd",
    ]
    assert lines[0].startswith("trial 0 attempt 2 in process ")
    assert capsys.readouterr() == ("", "")


def test_half_a_surrogate_pair_in_a_warning_and_an_error_can_be_passed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "_data", lambda spec: None)
    monkeypatch.setattr(workers, "this_process", here)
    reports = workers.one_process(_spec("SKIPPING", tmp_path))
    said = HALF.replace("\udcff", "\\udcff")
    assert next(reports)[1] == {said: 3}
    with pytest.raises(RuntimeError) as raised:
        next(reports)
    told = "".join(traceback.format_exception(raised.value))
    assert told.encode().strip().endswith(f"OSError: {said}".encode())
    lines = stored(tmp_path / "attempt-02").splitlines()
    assert {said, f"UserWarning: {said}", f"OSError: {said}"} <= set(lines)


def test_a_sweep_whose_family_warns_at_each_step_records_each_text_twice_a_trial(tmp_path: Path) -> None:
    folder = Folder.at(str(tmp_path / "sweep"))
    director = play(
        folder,
        Settings.from_dict(
            {**BASE.to_dict(), "family": f"{__name__}:TALKATIVE", "trials": 2, "confirm": 0, "concurrent": 1}
        ),
    )
    notes = [event for event in read(folder / "ledger") if isinstance(event, Noted)]
    assert [(note.trial, note.text, note.count) for note in notes] == [
        (number, text, count) for number in (0, 1) for count in (1, 9) for text in ("step 0 is odd", "always the same")
    ]
    assert director.history.notes[0] == "trial 0: step 0 is odd (9 times)"
    assert (tmp_path / "sweep" / trial_folder(1) / "attempt-01" / "log.txt").exists()
