"""Figures hold the numbers that the answers hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from analysis.collatz.attribution import attribution
from analysis.collatz.failures import steps_of, violations
from analysis.collatz.figures import WORST, attribution_figure, margins_figure, write
from analysis.collatz.subject import Subject
from analysis.page import checked
from leadline.config import ConfigError
from tests.analysis.collatz.subjects import config, data, formula_network, untrained
from trainables.collatz.family import COLLATZ
from trainables.collatz.metrics import margins, relative
from trainables.collatz.split import LOGGED_SEEDS


def test_margins_and_crosses_are_those_of_the_metric() -> None:
    subject = untrained(lookahead=20)
    figure = margins_figure(subject)
    assert len(figure.data) == 2 * (len(LOGGED_SEEDS) + WORST)
    found = relative(margins(data().scored("logged"), subject.potential()))
    violated, steps = violations(data(), "logged", subject.potential()), steps_of(data(), "logged")
    for o, trace in enumerate(figure.data[: 2 * len(LOGGED_SEEDS) : 2]):
        assert trace.name == "network"
        assert list(trace.y) == pytest.approx(found[o].tolist())
        crosses = [symbol == "x" for symbol in trace.marker.symbol]
        assert crosses == violated[steps.orbit == o].tolist()
    titles = [note.text for note in figure.layout.annotations]
    counts = [int(violated[steps.orbit == o].sum()) for o in range(5)]
    for seed, title, count in zip(data().scored("logged").seeds, titles, counts, strict=False):
        assert title.startswith(f"logged {seed}: {count}/")


def test_the_orbits_with_most_violations_come_first() -> None:
    subject = untrained(lookahead=20)
    violated, steps = violations(data(), "test", subject.potential()), steps_of(data(), "test")
    most = sorted((int(violated[steps.orbit == o].sum()) for o in range(128)), reverse=True)[:WORST]
    titles = [note.text for note in margins_figure(subject).layout.annotations]
    assert [int(title.split(": ")[1].split("/")[0]) for title in titles if title.startswith("test")] == most


def test_shaded_is_where_the_input_contains_the_answer() -> None:
    figure = margins_figure(untrained(lookahead=20))
    steps = steps_of(data(), "logged")
    for o, shape in enumerate(figure.layout.shapes[:5]):
        covered = np.flatnonzero(steps.remaining[steps.orbit == o] <= 20)
        assert (shape.x0, shape.x1) == (covered[0] - 0.5, covered[-1] + 0.5)
        assert len(covered) == 20


def test_a_hover_says_whether_training_may_touch_a_step() -> None:
    chosen = config(guard="scored")
    unguarded = Subject("probe", chosen, COLLATZ.build_data(chosen), COLLATZ.model(chosen).eval())
    steps = steps_of(data(), "logged")
    for subject, word in ((untrained(), ""), (unguarded, ", unguarded")):
        traces = margins_figure(subject).data[: 2 * len(LOGGED_SEEDS) : 2]
        for o, trace in enumerate(traces):
            expected = [word if own else ", leaked" for own in steps.private[steps.orbit == o]]
            assert [text.split("steps to 1")[1].split("<br>")[0] for text in trace.hovertext] == expected


def test_the_attribution_is_drawn_beside_the_formula() -> None:
    found = attribution(formula_network(lookahead=12))
    traces = {(trace.name, trace.yaxis): trace for trace in attribution_figure(found).data}
    assert list(traces["network", "y"].y) == [position.scaled for position in found.positions]
    assert list(traces["formula", "y"].y) == [position.formula for position in found.positions]
    assert list(traces["formula", "y2"].y) == [position.formula_attribution.value for position in found.positions]
    bars = traces["network", "y"].error_y
    first = found.positions[0].gradient
    assert bars.array[0] == pytest.approx((first.high - first.value) / found.slope)
    assert bars.arrayminus[0] == pytest.approx((first.value - first.low) / found.slope)


def test_where_a_figure_may_be_written(tmp_path: Path) -> None:
    assert checked(tmp_path / "f.html") == tmp_path / "f.html"
    for wrong in (tmp_path, tmp_path / "no" / "f.html"):
        with pytest.raises(ConfigError, match=r"^figure: "):
            checked(wrong)


def test_texts_of_a_page_are_no_markup(tmp_path: Path) -> None:
    figure = attribution_figure(attribution(formula_network(lookahead=2)))
    write(tmp_path / "f.html", "<b>", "a & b", figure)
    page = (tmp_path / "f.html").read_text(encoding="utf-8")
    assert "<title>&lt;b&gt;</title>" in page
    assert "<p>a &amp; b</p>" in page
    with pytest.raises(ConfigError, match=r"^figure: cannot write .*: Is a directory"):
        write(tmp_path, "", "", figure)
