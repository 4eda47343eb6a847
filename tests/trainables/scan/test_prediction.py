"""One command as a person gives it, alone or with the name of a rule."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from leadline.config import ConfigError
from trainables.scan.family import SCAN
from trainables.scan.prediction import Answer, read_command

CONFIG = SCAN.config({"width": 8})


def _answer(inputs: Any) -> Answer:
    torch.manual_seed(0)
    found = SCAN.predict(SCAN.model(CONFIG).eval(), inputs, CONFIG)
    assert isinstance(found, Answer)
    return found


def test_an_answer_stands_beside_the_interpreter_s() -> None:
    found = _answer("jump left twice")
    assert (found.command, found.rule) == ("jump left twice", "base")
    assert found.expected == "I_TURN_LEFT I_JUMP I_TURN_LEFT I_JUMP"
    assert found.right is (found.actions == found.expected)
    assert found.log_probability < 0
    assert str(found) == found.actions


def test_a_rule_changes_what_is_expected_and_what_is_answered_from() -> None:
    told = _answer(("jump left twice", "jump->walk+twice=once"))
    assert told.expected == "I_TURN_LEFT I_WALK"
    assert told.log_probability != _answer("jump left twice").log_probability
    assert told == _answer(["jump left twice", "jump->walk+twice=once"])
    assert told.log_probability == _answer(("jump left twice", "twice=once+jump->walk")).log_probability


def test_the_example_is_a_command() -> None:
    assert read_command(SCAN.example(CONFIG))[1] == "base"


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ("jump jump", "inputs: command: the grammar does not make 'jump jump'"),
        ("jupm", "inputs: command: no word 'jupm'; did you mean jump?"),
        (("jump", "twice=one"), "inputs: rules: no rule 'twice=one'; did you mean twice=once?"),
        (("jump", 3), "inputs: expected a command, or a pair"),
        (27, "inputs: expected a command, or a pair"),
    ],
)
def test_what_is_no_command_is_refused(inputs: Any, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        _answer(inputs)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)
