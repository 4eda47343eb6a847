"""Boards, labels and starts that cannot be: one line that names the field, before anything starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from leadline.commands import dispatch
from sweeps.lookahead import STUDY as LOOKAHEAD
from tests.leadline.engine.test_bad_input import main

SHOWS_FIVE, LARGE, SCORED = "007bbfb7", "1f85a75f", "00576224"
"""A training task of side 9, one of side 30, and an evaluation task of side 6."""
ARC = ("task=arc", "size=10")
FAMILIES = ("etrm", "trm", "arc_hrm")
BAD = {
    (
        "task=arc",
        "data_set=arcagi3",
    ): "data_set: input should be 'arcagi1', 'arcagi2' or 'arcagi1_to_2' (got 'arcagi3')",
    (*ARC, "task_ids=007bbfb8"): "task_ids: no '007bbfb8' in arcagi1; an id is such as 00576224",
    (*ARC, f"task_ids={LARGE}"): f"task_ids: {LARGE} has a side of 30, more than size, 10",
    (*ARC, f"task_ids={SHOWS_FIVE}"): "task_ids: none of the named ones is left for test; name one more, such as *",
    ("task=arc", "size=31"): "size: no grid of ARC is larger than 30 (got 31)",
    ("task=rules", "size=31"): "size: no grid is larger than 30 (got 31)",
    (*ARC, "demonstrations=11"): "demonstrations: no task of these shows more than 10 (got 11)",
    ("task=rules", "size=5", "train_rules=12", "demonstrations=64", "train_boards=64"): (
        "train_boards: at least 780, as 12 rules need a pair and 64 others each (got 64)"
    ),
    (*ARC, "augmentations=-1"): "augmentations: input should be greater than or equal to 0 (got '-1')",
    (*ARC, "augmentations=1001"): "augmentations: input should be less than or equal to 1000 (got '1001')",
    ("easy_first=1.5",): "easy_first: input should be less than or equal to 1 (got '1.5')",
    ("task=rules", "size=5", "train_rules=41"): "train_rules: input should be less than or equal to 40 (got '41')",
}
"""What is given, and the line that says what is wrong with it; * stands for an id."""
OWN = {
    ("arc_hrm", "label_smoothing=1"): "label_smoothing: input should be less than 1 (got '1')",
    ("etrm", "start=nowhere"): "start: there is no checkpoint at nowhere; *",
    ("trm", "start=nowhere"): "start: there is no checkpoint at nowhere; *",
    ("trm", "task=arc", "protocol=inductive"): (
        "protocol: must be transductive, as nothing tells this network of a task not trained on"
    ),
}
CASES = {**{(family, *words): line for words, line in BAD.items() for family in FAMILIES}, **OWN}


@pytest.mark.parametrize("words", CASES, ids=" ".join)
def test_a_training_is_refused_in_a_line(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert dispatch.main(["train", *words, "steps=1", "eval_every=1"]) == 2
    _said(capsys, CASES[words])


@pytest.mark.parametrize("words", [words for words in CASES if words[0] == "etrm" or words in OWN], ids=" ".join)
def test_a_sweep_is_refused_in_a_line(
    words: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    family, *fields = words
    plan = ["--family", family, "--scale", "smoke", "--dry-run", "--storage", str(tmp_path / "r")]
    with pytest.raises(SystemExit) as ended:
        main(LOOKAHEAD, "", [*plan, *fields])
    assert ended.value.code == 2
    _said(capsys, CASES[words])
    assert not (tmp_path / "r").exists()


def _said(capsys: pytest.CaptureFixture[str], line: str) -> None:
    """Checks that this line is all that was said."""
    shown = capsys.readouterr()
    assert shown.out == ""
    beginning, _, _ = f"error: {line}\n".partition("*")
    assert shown.err.startswith(beginning)
    assert shown.err.count("\n") == 1


TINY = (
    *("size=5", "train_rules=2", "train_boards=40", "validation_boards=6", "test_boards=6", "batch=4", "hidden=16"),
    *("heads=2", "round_to=16", "halt_max_steps=2", "steps=1", "eval_every=1"),
)
ENCODER = ("context_tokens=4", "encoder_layers=1")


def test_a_checkpoint_of_another_mode_is_refused_in_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whether training begins with it, or goes on from it."""
    folder = tmp_path / "run"
    assert dispatch.main(["train", "etrm", *TINY, *ENCODER, "--save", str(folder)]) == 0
    (place,) = folder.glob("*/step-*")
    capsys.readouterr()
    for words, line in (
        (("etrm", *ENCODER, "encoder=variational", f"start={place}"), "encoder: must be standard*"),
        (("etrm", *ENCODER, "pooling=attention", f"start={place}"), "pooling: must be mean*"),
        (("trm", "task=rules", f"start={place}"), f"start: {place} is of the family etrm, this one is trm"),
        (
            ("etrm", *ENCODER, "encoding=cached", "--save", str(folder)),
            f"encoding: {folder} holds a run with encoding=reencode; save this one elsewhere",
        ),
        (
            ("trm", "task=rules", "--save", str(folder)),
            f"family: {folder} holds a run with family=etrm; save this one elsewhere",
        ),
    ):
        assert dispatch.main(["train", words[0], *TINY, *words[1:]]) == 2
        _said(capsys, line)
