"""The sentence with which a report opens."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from leadline import Sweep
from leadline.analysis.report import document
from leadline.analysis.report.opening import opening
from leadline.ledger.history import Baseline, History
from leadline.measure import Measure
from leadline.storage import Folder
from tests.leadline.analysis import conftest
from tests.leadline.analysis.demo import Demo


def made(*lines: Baseline, family: str = conftest.SETTINGS.family) -> Sweep:
    """A sweep of two strata in which nothing was trained yet."""
    history = History(dataclasses.replace(conftest.SETTINGS, family=family))
    history.baselines = list(lines)
    return Sweep("made", Folder.at("/nowhere"), history)


def scored(name: str, stratum: str, value: float, split: str = "test") -> Baseline:
    return Baseline(name, stratum, {f"{split}/hinge": Measure.exact(value, 100)})


def test_a_family_s_first_sentence_stands_first(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is said of every family's trivial predictors has more digits, and stands in the detail."""
    header, _, detail = document.page(Sweep.open(finished)).partition("<header>")[2].partition("</header>")
    assert 'class="headline"' not in header
    assert "<p>The best that learns nothing has, on test, hinge 0.09 " in detail
    assert document.opened(Folder.at(str(finished))).startswith("The best that learns nothing has")
    monkeypatch.setattr(Demo, "opening", f"{__name__}:two")
    header, _, detail = document.page(Sweep.open(finished)).partition("<header>")[2].partition("</header>")
    assert '</h1>\n<p class="headline">Nothing has 0.5 of 1.</p>\n<p class="sentence">' in header
    assert "<p>Then more.</p>" in detail


def two(sweep: Sweep) -> str:
    return "Nothing has 0.5 of 1. Then more."


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([], ""),
        ([scored("sum", "10", 0.25), scored("sum", "100", 0.25)], "test, hinge 0.25 (sum)."),
        (
            [scored("sum", "10", 0.5), scored("zero", "10", 0.25), scored("sum", "100", 0.125)],
            "0.125 to 0.25 (zero, sum).",
        ),
        ([scored("oracle: it", "10", 0.0), scored("sum", "10", 0.5)], "hinge 0.5 (sum)."),
        ([scored("sum", "10", 0.5, "validation")], "on validation, hinge 0.5 (sum)."),
    ],
)
def test_the_best_of_each_stratum(lines: list[Baseline], said: str) -> None:
    found = opening(made(*lines))
    assert found.endswith(said) if said else found == ""


def broken(sweep: Sweep) -> str:
    raise RuntimeError("no such thing")


def own(sweep: Sweep) -> str:
    return f"Of {sweep.name}, this first."


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("own", "Of made, this first."),
        (
            "broken",
            "The best that learns nothing has, on test, hinge 0.5 (sum). (opening: RuntimeError: no such thing)",
        ),
        ("missing", "hinge 0.5 (sum). (opening: "),
    ],
)
def test_a_family_s_own_sentence(name: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that fails does not cost the report."""
    monkeypatch.setattr(Demo, "opening", f"{__name__}:{name}")
    assert said in opening(made(scored("sum", "10", 0.5)))


def test_a_family_that_is_not_installed() -> None:
    assert opening(made(scored("sum", "10", 0.5), family="nowhere")).endswith("hinge 0.5 (sum).")
