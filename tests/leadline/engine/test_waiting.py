"""A silence says what is waited for; what is quick says nothing."""

from __future__ import annotations

import threading

import pytest

from leadline.engine.waiting import waiting


def test_it_says_what_is_waited_for_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("leadline.engine.waiting.AGAIN", 0.0)
    said, twice = list[str](), threading.Event()

    def say(line: str) -> None:
        said.append(line)
        if len(said) == 2:
            twice.set()

    with waiting("Ray to start", say, after=0.0):
        assert twice.wait(60)
    count = len(said)
    assert all(line.startswith("waiting for Ray to start: ") for line in said)
    assert "waiting" not in [thread.name for thread in threading.enumerate()]
    assert len(said) == count, "nothing is said afterwards"


def test_what_is_over_at_once_says_nothing_and_an_exception_passes() -> None:
    said = list[str]()
    with pytest.raises(ArithmeticError), waiting("a number", said.append, after=3600.0):
        raise ArithmeticError
    assert said == []
