"""Q-halt's three phases, over made-up histories, and their figure in the report."""

from __future__ import annotations

import html
from typing import Any

import pytest

from analysis.recursive.figures import figures
from analysis.recursive.phases import phase
from leadline.analysis.report import document
from tests.analysis.recursive.encoder_sweep import LIMIT, Told, made

TEST = {"exact": 0.5}


def last(told: Told, **fields: Any) -> str:
    """What the report says of the arm reencode at its last report."""
    (found,) = figures(made({"reencode": {"test": TEST, "told": told, **fields}}))
    return found.text.partition("arm reencode: ")[2]


@pytest.mark.parametrize(
    ("told", "fields", "said"),
    [
        (((0.0, 1.0),), {}, "phase 1, 1 beside 1: says nothing yet, as always going on is right as often."),
        (((0.05, 0.5),), {}, "phase 1, 0.5 beside 0.95: not healthy: worse than the same word for every board."),
        (((0.0, 1.0), (0.4, 0.9)), {}, "phase 2, 0.9 beside 0.6: healthy."),
        (((0.4, 0.6),), {}, "phase 2, 0.6 beside 0.6: not healthy: no better than the same word for every board."),
        (((0.5, 0.9),), {"steps": LIMIT}, "phase 2, 0.9 beside 0.5: not healthy: every board takes all 4 segments."),
        (((0.0, 1.0), (0.5, 0.9), (1.0, 1.0)), {}, "phase 3, 1 beside 1: healthy."),
        (((0.95, 0.5),), {}, "phase 3, 0.5 beside 0.95: not healthy: worse than the same word for every board."),
        (((1.0, 1.0),), {"steps": LIMIT}, "phase 3, 1 beside 1: not healthy: every board takes all 4 segments."),
    ],
)
def test_each_phase(told: Told, fields: dict[str, Any], said: str) -> None:
    assert last(told, **fields) == said


def test_the_bounds() -> None:
    assert [phase(exact) for exact in (0.0, 0.099, 0.1, 0.9, 0.901, 1.0)] == [1, 1, 2, 2, 3, 3]


def test_the_figure_has_the_best_trial_of_each_stratum() -> None:
    sweep = made(
        {
            "reencode": {"test": TEST, "told": ((0.0, 1.0), (0.4, 0.9), (0.95, 0.97))},
            "cached": {"test": TEST, "told": ((0.0, 1.0), (0.05, 0.95))},
        }
    )
    (found,) = figures(sweep)
    lines = found.figure.data
    assert [line.name for line in lines[::3]] == ["arm reencode", "arm cached"]
    q, exact, constant = lines[:3]
    assert list(q.marker.symbol) == ["circle", "square", "diamond"]
    assert list(q.y) == pytest.approx([1.0, 0.9, 0.97], abs=0.01)
    assert list(exact.y) == pytest.approx([0.0, 0.4, 0.95], abs=0.01)
    assert list(constant.y) == pytest.approx([1.0, 0.6, 0.95], abs=0.01)
    page = html.unescape(document.page(sweep))
    assert "Q-halt and its three phases" in page
    assert "arm cached: phase 1, 0.95 beside 0.95: says nothing yet" in page


def test_nothing_finished_is_no_figure() -> None:
    sweep = made({"reencode": {"test": TEST}})
    for trial in sweep.history.trials.values():
        trial.status = "failed"
    assert figures(sweep) == []
