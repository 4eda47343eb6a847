"""`leadline predict` of every family of the laboratory, on an untrained checkpoint that the real store has kept."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import pytest

from leadline import registry
from leadline.checkpoint import CheckpointStore
from leadline.commands.dispatch import main
from leadline.config import to_dict
from leadline.storage import Folder
from trainables import FAMILIES

SMALL: dict[str, dict[str, Any]] = {
    "collatz": {"layers": "8", "lookahead": 20},
    "trm": {"hidden": 16, "heads": 2, "halt_max_steps": 2},
    "hrm": {"hidden": 16, "heads": 2, "halt_max_steps": 2},
    "etrm": {},
    "arc_hrm": {},
    "physics": {"width": 16, "layers": 1, "heads": 2, "seen": 2},
    "scan": {"width": 16},
}
"""Fields of a small model by family."""


@pytest.fixture
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The folder of an untrained checkpoint of the family that is named."""
    return _kept(tmp_path, request.param)


def _kept(folder: Path, name: str) -> str:
    family = registry.family(name)
    config = family.config(SMALL[name])
    record = {"family": name, "config": to_dict(config), "history": []}
    weights = family.model(config).state_dict()
    state = {"model": weights, "task": {"average": weights}}
    return f"{folder}/{CheckpointStore(Folder.at(str(folder))).publish(1, state, record)}"


def test_every_family_is_here_and_says_what_it_takes(capsys: pytest.CaptureFixture[str]) -> None:
    assert SMALL.keys() == set(FAMILIES)
    assert main(["predict", "--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    for name in FAMILIES:
        assert f"  {name:<10} {registry.family(name).input_help}" in lines
        assert registry.family(name).input_help


@pytest.mark.parametrize("kept", SMALL, indirect=True)
def test_the_example_is_answered_and_nonsense_is_not(
    kept: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["predict", kept, "--example"]) == 0
    example = capsys.readouterr().out
    said = []
    for words in ([], ["--json"]):
        monkeypatch.setattr("sys.stdin", io.StringIO(example))
        assert main(["predict", kept, "--input=-", *words]) == 0
        said.append(capsys.readouterr().out)
    found = json.loads(said[1])
    family = registry.family(found["family"])
    assert (found["checkpoint"], found["answer"] not in (None, {}, [])) == (kept, True)
    assert said[0].startswith(f"{kept} of {family.name}\n")
    assert [f"{name}:" in said[0] for name in found["answer"]] == [True] * len(found["answer"])
    assert main(["predict", kept, "nonsense"]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith("error: inputs: ")
    assert err.endswith(f"; {family.name} takes {family.input_help}\n")


@pytest.mark.parametrize("kept", ["physics"], indirect=True)
def test_states_of_balls_have_names(
    kept: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    family = registry.family("physics")
    example = family.example(family.config(SMALL["physics"]))
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(example)))
    assert main(["predict", kept, "--input=-"]) == 0
    first = capsys.readouterr().out.split("\nframes: \n")[1].splitlines()[0]
    assert re.fullmatch(r" *(x \S+ y \S+ vx \S+ vy \S+ *){3}", first)


@pytest.mark.parametrize(
    ("kept", "inputs", "answer"),
    [
        ("collatz", ["27"], "\nfollowing: 41\n"),
        ("scan", ["jump", "twice"], "\nexpected: I_JUMP I_JUMP\n"),
        ("scan", ['["jump twice", "jump->walk"]'], "\nexpected: I_WALK I_WALK\n"),
        ("trm", ["1...", "..2.", ".3..", "...4"], "\nboard: \n  "),
        ("trm", ["1...3...2....4.."], "\nboard: \n  "),
    ],
    indirect=["kept"],
)
def test_an_input_in_words(kept: str, inputs: list[str], answer: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", kept, *inputs]) == 0
    assert answer in capsys.readouterr().out
