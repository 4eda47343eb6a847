"""`leadline predict` of the made-up family, whose weights are real: how a checkpoint and an input are named."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from leadline import Sweep
from leadline.checkpoint import CheckpointStore
from leadline.commands.dispatch import main
from leadline.config import to_dict
from leadline.storage import Folder
from tests.leadline.analysis.demo import DEMO
from tests.leadline.analysis.test_open_sweep import publish

FAMILY = "--family=tests.leadline.analysis.demo:DEMO"
Build = Any


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """The folder of a checkpoint that has not been scored yet."""
    config = DEMO.config({})
    record = {"family": DEMO.name, "config": to_dict(config), "history": []}
    store = CheckpointStore(Folder.at(str(tmp_path / "kept")))
    return tmp_path / "kept" / store.publish(1, {"model": DEMO.model(config).state_dict()}, record)


def test_a_trial_of_a_sweep_answers_as_in_python(build: Build, capsys: pytest.CaptureFixture[str]) -> None:
    made = build()
    made.train(4, failing=None)
    folder = made.close()
    view = Sweep.open(folder).trial(0)
    publish(folder, view, 400)
    assert main(["predict", str(folder), "0", "27", "--json"]) == 0
    checkpoint = f"{folder}/trials/0000/attempt-01/step-000000400"
    said = {"checkpoint": checkpoint, "family": "demo", "answer": view.predict(27)}
    assert json.loads(capsys.readouterr().out) == said
    assert main(["predict", str(folder), "0", "27"]) == 0
    assert capsys.readouterr().out == f"{checkpoint} of demo\nanswer: {view.predict(27):.6g}\n"


def test_an_input_from_words_a_file_and_standard_input(
    kept: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["predict", str(kept), FAMILY, "--example"]) == 0
    example = capsys.readouterr().out
    assert json.loads(example) == 27
    (tmp_path / "input.json").write_text(example)
    monkeypatch.setattr("sys.stdin", io.StringIO(example))
    answers = []
    for words in (["27"], ["--input", str(tmp_path / "input.json")], ["--input", "-"]):
        assert main(["predict", str(kept), FAMILY, *words]) == 0
        answers.append(capsys.readouterr().out)
    assert answers == [answers[0]] * 3


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "input: is missing; --example prints one"),
        (["28"], "inputs: must be an odd number (got 28)"),
        (["many"], "inputs: must be an odd number (got 'many')"),
        (["{1}"], "input: it begins as JSON does, and is none: "),
        (["[" * 100_000], "input: it begins as JSON does, and is none: "),
        (["27", "--input=-"], "input: give either words or a file"),
        (["--input=nowhere.json"], "input: cannot read nowhere.json: No such file or directory"),
        (["27", "--example"], "example: prints an input, and takes none"),
    ],
)
def test_a_bad_input_is_one_line(
    kept: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", str(kept), FAMILY, *words]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith(f"error: {message}")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "number: {} is a sweep; say which trial, as in: leadline predict {} 7 INPUT"),
        (["best", "27"], "number: must be a trial's number (got 'best'), as {} is a sweep"),
        (["99", "27"], "trial: demo has no trial 99; it has 0 to "),
        (["0", "27", FAMILY], "family: {} is a sweep, which says its own; leave it out"),
    ],
)
def test_of_a_sweep_the_trial_is_named(
    finished: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", str(finished), *words]) == 2
    assert capsys.readouterr().err.startswith(f"error: {message.replace('{}', str(finished))}")


def test_a_family_without_predict_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from tests.leadline.toy import TOY

    config = TOY.config({})
    record = {"family": TOY.name, "config": to_dict(config), "history": []}
    CheckpointStore(Folder.at(str(tmp_path))).publish(1, {"model": TOY.model(config).state_dict()}, record)
    assert main(["predict", str(tmp_path), "27", "--family=tests.leadline.toy:TOY"]) == 2
    assert capsys.readouterr().err == "error: family: toy has no predict\n"
