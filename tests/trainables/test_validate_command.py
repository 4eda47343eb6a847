"""`leadline validate` on what `leadline train --save` has stored, of real families."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from leadline.checkpoint import CheckpointStore
from leadline.commands.dispatch import main
from leadline.heartbeat import read
from leadline.storage import Folder
from tests.leadline.analysis.test_validate import verdicts

COLLATZ = ["collatz", "layers=16", "batch=32", "pool=1024", "steps=40", "eval_every=20"]
TRM = [
    "trm",
    "hidden=16",
    "heads=2",
    "batch=32",
    "validation_boards=64",
    "test_boards=64",
    "halt_max_steps=2",
    "steps=4",
    "eval_every=2",
]


@pytest.mark.parametrize("words", [COLLATZ, TRM], ids=["collatz", "trm"])
def test_what_was_trained_here_is_equal_and_another_weight_is_not(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Folder.at(str(tmp_path / "run"))
    assert main(["train", *words, "--save", folder.path]) == 0
    beat = read(folder, 1, patience=5)
    assert beat is not None
    assert (beat.run, beat.state, beat.step) == ("run/attempt-01", "ended", beat.steps)
    capsys.readouterr()
    assert main(["validate", folder.path]) == 0
    assert set(verdicts(capsys.readouterr().out).values()) == {"equal"}
    code = main(["validate", folder.path, "--dtype=bfloat16"])
    found = set(verdicts(capsys.readouterr().out).values())
    assert found & {"within rounding", "changed"}
    assert code == int("changed" in found)
    newest = CheckpointStore(folder).newest()
    assert newest is not None
    for weights in (newest.state["model"], newest.state["task"].get("average", {})):
        for tensor in _tensors(weights):
            tensor.view(-1)[0] += 1000
    other = tmp_path / "other"
    CheckpointStore(Folder.at(str(other))).publish(newest.step, newest.state, newest.record)
    assert main(["validate", str(other)]) == 1
    assert "changed" in verdicts(capsys.readouterr().out).values()


def _tensors(state: Any) -> list[torch.Tensor]:
    if isinstance(state, torch.Tensor):
        return [state] if state.is_floating_point() and state.ndim else []
    return [found for part in state.values() for found in _tensors(part)] if isinstance(state, dict) else []
