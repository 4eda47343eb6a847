"""What is shown of a running sweep."""

from __future__ import annotations

import dataclasses
import io
import re

from rich.console import Console

from leadline.engine.director import Assignment, Director
from leadline.engine.display import Display
from tests.leadline.engine.test_director import BASE, _report
from tests.leadline.toy_study import STUDY


def test_the_time_left_is_what_reports_say_that_the_rest_costs() -> None:
    """However long it took until they came. Of 4 trials, each spends 19/6 of the budget on average."""
    director = Director(dataclasses.replace(BASE, strata=(1,), trials=4, confirm=0), STUDY.space)
    director.opened({})
    display = Display(director, "x", Console(file=io.StringIO()))

    def left() -> str:
        found = re.search(r", (\S+) left\]", display.line())
        assert found
        return found[1]

    def start() -> Assignment:
        found = director.next()
        assert isinstance(found, Assignment)
        director.started(found.trial, 1)
        return found

    first = start()
    assert left() == "?"
    director.reported(0, dataclasses.replace(_report(first.config, 1, False), seconds=8.0, overhead=2.0))
    assert left() == "~1:56", "10 s for each of 4 * 19/6 - 1 steps"
    start()
    assert left() == "~0:58", "with two at a time"
