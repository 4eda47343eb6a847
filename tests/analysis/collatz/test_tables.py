"""Answers as tables and as plain values: what stands in which row, at which width."""

from __future__ import annotations

import io
import math
from typing import NamedTuple

import pytest
from rich.console import Console, RenderableType

from analysis.collatz.ablation import Ablation, Effect, Group
from analysis.collatz.attribution import Attribution, Position, attribution
from analysis.collatz.lookahead import Curve, Point, curve, sentences
from analysis.collatz.tables import ablation_page, attribution_page, curve_page
from analysis.questions import plain
from leadline.measure import Measure
from tests.analysis.collatz.subjects import config, data, formula_network


def lines(page: RenderableType, width: int) -> list[list[str]]:
    """The words of each line as printed; none is wider than the terminal."""
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(page)
    text = console.export_text()
    assert max(map(len, text.splitlines())) <= width
    return [line.split() for line in text.splitlines()]


def measure(value: float, n: int = 128) -> Measure:
    return Measure(value, n, value - 0.25, value + 0.25)


def scores(hinge: float) -> dict[str, Measure]:
    return {"hinge": measure(hinge), "violations": measure(hinge / 2)}


@pytest.fixture(scope="module")
def hand_made() -> Ablation:
    effects = [
        Effect("size", "masked", scores(3.0), scores(1.0), "one network"),
        Effect("size", "permuted", scores(4.0), scores(2.0), "one network", (3.5, 4.5)),
        Effect("size", "retrained", scores(5.0), scores(-0.125), "no claim: only 1 of 5 replicates"),
    ]
    predictors = {"constant": scores(1.05), "oracle: steps to 1": scores(0.0)}
    return Ablation("s, trial 7", 50, [1], [Group("size", (0,))], scores(2.0), scores(2.5), effects, predictors)


def test_effects_in_their_columns(hand_made: Ablation) -> None:
    found = lines(ablation_page(hand_made, 200), 200)
    rows = {line[1]: line for line in found if line[:1] == ["size"]}
    assert rows["masked"][2:8] == ["3", "1", "0.75", "..", "1.25", "one"]
    assert rows["permuted"][2:9] == ["4", "3.5", "..", "4.5", "2", "1.75", ".."]
    assert rows["retrained"][2:7] == ["5", "-0.125", "-0.375", "..", "0.125"]
    assert " ".join(rows["retrained"][7:14]) == "no claim: only 1 of 5 replicates"
    assert rows["retrained"][-5:] == ["2.5", "-0.0625", "-0.3125", "..", "0.1875"]
    assert ["all", "as", "trained", "2", "1"] in found
    assert ["all", "retrained", "2.5", "1.25"] in found


def test_effects_of_a_narrow_terminal(hand_made: Ablation) -> None:
    found = lines(ablation_page(hand_made, 80), 80)
    assert ["size", "masked", "1", "0.75..1.25", "one", "network"] in found
    assert not [line for line in found if line[:1] == ["all"]], "a row without cells"
    assert "Hinge with all inputs: 2 as trained, 2.5 retrained." in " ".join(" ".join(line) for line in found)


def test_bands_are_means_of_their_positions() -> None:
    found = attribution(formula_network(lookahead=12))
    rows = {line[0]: line for line in lines(attribution_page(found, 200), 200) if line and line[0][0].isdigit()}
    assert list(rows) == ["1", "2", "3", "4", "5", "6-10", "11-12"]
    band = [position.gradient.value for position in found.positions[5:10]]
    assert float(rows["6-10"][1]) == pytest.approx(sum(band) / 5, rel=1e-3)
    assert ".." in rows["5"]
    assert ".." not in rows["6-10"], "intervals of several positions are not independent"


def test_a_network_without_slope_is_said_to_have_none() -> None:
    nothing = Measure(math.nan, 0, math.nan, math.nan)
    position = Position(1, nothing, math.nan, math.nan, -0.5, nothing, nothing)
    page = attribution_page(Attribution("s, trial 7", 0, 0, math.nan, math.nan, math.nan, [position], [], []), 80)
    assert "not positive, so nothing is scaled" in " ".join(" ".join(line) for line in lines(page, 80))


@pytest.fixture(scope="module")
def two_points() -> Curve:
    return curve("s, trial 7", config(lookahead=5, layers=()), data(), [5, 7], 2, 2)


@pytest.mark.parametrize("width", [80, 120, 200])
def test_points_in_their_rows(two_points: Curve, width: int) -> None:
    found = lines(curve_page(two_points, sentences(two_points), width), width)
    for point in two_points.points:
        means, counts = (line for line in found if line[:1] == [str(point.lookahead)])
        assert means[1] == f"{point.coverage.value:.0%}"
        assert counts[1] == _counted(point, 111)
    text = " ".join(" ".join(line) for line in found)
    assert all(sentence in text for sentence in sentences(two_points))


def _counted(point: Point, seed: int) -> str:
    low, high = point.logged[seed]
    return str(low) if low == high else f"{low}..{high}"


class Pair(NamedTuple):
    first: float
    second: dict[int, tuple[float, ...]]


def test_plain_values_are_json() -> None:
    assert plain(Pair(math.inf, {3: (1.0, math.nan)})) == {"first": None, "second": {"3": [1.0, None]}}
    assert plain(Measure(math.nan, 3, 0.0, 1.0)) == {"value": None, "n": 3, "low": 0.0, "high": 1.0}
    assert plain([True, "text", 2, None]) == [True, "text", 2, None]
