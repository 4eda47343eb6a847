"""Gradient times input on networks whose gradients are known."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from analysis.collatz.attribution import attribution, formula_weights, gradients
from analysis.collatz.failures import steps_of
from analysis.collatz.subject import Subject
from analysis.collatz.tables import attribution_page
from tests.analysis.collatz.subjects import data, formula_network, untrained
from trainables.collatz.features import BASE, features
from trainables.collatz.model import LyapunovNet, formula

CLOSE = 1e-4  # softplus has the slope 1 - 1e-5 and more on private nodes, which are above 2^16


def test_weights_of_the_formula() -> None:
    line = formula("full", 7)
    assert formula_weights(7) == pytest.approx(line.weight[BASE:].double().numpy() / 10, rel=1e-6)
    assert formula_weights(1).tolist() == [-math.log(2) / 2]


@pytest.mark.parametrize("values", [{"lookahead": 20}, {"lookahead": 60}, {"lookahead": 12, "features": "k_shifted"}])
def test_the_formula_as_a_network(values: dict[str, Any]) -> None:
    found = attribution(formula_network(**values))
    assert found.slope == pytest.approx(1, rel=CLOSE)
    assert found.explained == pytest.approx(1, rel=CLOSE)
    assert found.correlation == pytest.approx(1, rel=CLOSE)
    for position in found.positions:
        assert position.gradient.value == pytest.approx(position.formula, rel=CLOSE)
        assert position.scaled == pytest.approx(position.formula, rel=CLOSE)
        assert position.total == position.scaled
        assert position.attribution.value == pytest.approx(position.formula_attribution.value, rel=CLOSE)
        assert position.gradient.n == found.orbits == 64
    for share in (*found.groups, *found.beyond):
        assert share.network.value == pytest.approx(share.formula.value, rel=CLOSE)
    assert [share.of for share in found.beyond] == [
        f"k beyond {p}, of all k" for p in (10, 20, 50) if p < values["lookahead"]
    ]


def test_a_linear_network_has_its_weights_times_the_slope_of_softplus() -> None:
    subject = untrained(lookahead=15, layers=(), seed=3)
    x = features(data().nodes, np.arange(40), 15)
    values, slopes = gradients(subject.model, x)
    assert isinstance(subject.model, LyapunovNet)
    (layer,) = subject.model.net
    assert isinstance(layer, torch.nn.Linear)
    weight = layer.weight.detach().double().numpy()[0]
    line = x.astype(np.float64) @ weight + layer.bias.item()
    assert slopes == pytest.approx(weight / (1 + np.exp(-line))[:, None], rel=1e-5)
    assert values == pytest.approx(np.logaddexp(0, line) + 1e-6, rel=1e-5)


def test_gradients_of_an_untrained_perceptron_are_its_differences() -> None:
    model = untrained(lookahead=15, layers=(16, 8), seed=3).model.double()
    x = features(data().nodes, np.arange(30), 15).astype(np.float64)
    _, slopes = gradients(model, x)
    for column in (0, 3, 5, 6, 20):
        moved = np.zeros(x.shape[1])
        moved[column] = 1e-6
        ahead, behind = (gradients(model, x + sign * moved)[0] for sign in (1, -1))
        assert slopes[:, column] == pytest.approx((ahead - behind) / 2e-6, rel=1e-4, abs=1e-7)


def test_the_drift_moves_with_every_valuation() -> None:
    subject = formula_network(lookahead=12)
    assert isinstance(subject.model, LyapunovNet)
    assert subject.model.skip is not None
    with torch.no_grad():
        subject.model.skip.weight[0, 5] = 2.0
    found = attribution(subject)
    for position in found.positions:
        assert position.total - position.scaled == pytest.approx(-0.2 / found.slope, rel=1e-3)


def one_column(column: int, weight: float) -> Subject:
    """V reads one column of the input, by a known weight."""
    subject = formula_network(lookahead=12)
    assert isinstance(subject.model, LyapunovNet)
    assert subject.model.skip is not None
    with torch.no_grad():
        subject.model.skip.weight.zero_()
        subject.model.skip.weight[0, column] = weight
        subject.model.skip.bias.fill_(100.0)  # where softplus has the slope 1
    return subject


def test_a_network_that_reads_one_valuation() -> None:
    """dV/dk is its weight over 10, the column's scale; |gradient x input| the same times k, means of orbits' means."""
    found = attribution(one_column(BASE + 8, -5.0))
    steps = steps_of(data(), "validation")
    index = np.concatenate([np.arange(first, first + count) for first, count in _spans()])
    k = 10 * features(data().nodes, index, 12)[:, BASE + 8].astype(np.float64)
    for position in found.positions:
        assert position.gradient.value == pytest.approx(-0.5 if position.i == 9 else 0.0, rel=1e-6)
    orbits = [0.5 * k[steps.orbit == o].mean() for o in range(64)]
    assert found.positions[8].attribution.value == pytest.approx(np.mean(orbits), rel=1e-5)
    shares = {share.of: share.network.value for share in (*found.groups, *found.beyond)}
    assert shares == {
        **dict.fromkeys(("size", "residues", "drift", "near k (1-8)", "k beyond 10, of all k"), 0.0),
        "far k (9-12)": pytest.approx(1),
    }


def _spans() -> Iterator[tuple[int, int]]:
    rows = data().scored("validation")
    return zip(rows.first.tolist(), rows.count.tolist(), strict=True)


def test_a_network_that_reads_the_size_alone() -> None:
    found = attribution(one_column(0, 2.0))
    assert found.groups[0].of == "size"
    assert found.groups[0].network.value == 1.0
    assert math.isnan(found.correlation), "the window's gradients have no spread"
    assert all(share.network.value == 0.0 for share in found.beyond)
    assert found.slope > 0
    assert all(position.gradient.value == 0.0 for position in found.positions)


def test_groups_share_out_the_whole() -> None:
    for values in ({"layers": (8,)}, {"layers": (8,), "features": "k_only"}):
        found = attribution(untrained(lookahead=12, **values))
        assert sum(share.network.value for share in found.groups) == pytest.approx(1)
        assert sum(share.formula.value for share in found.groups) == pytest.approx(1)
        assert len(found.positions) == 12


def test_nothing_is_scaled_where_v_falls_with_the_formula(capsys: pytest.CaptureFixture[str]) -> None:
    from rich.console import Console

    subject = formula_network(lookahead=12)
    assert isinstance(subject.model, LyapunovNet)
    assert subject.model.skip is not None
    with torch.no_grad():
        subject.model.skip.weight.neg_()
        subject.model.skip.bias.add_(100)
    found = attribution(subject)
    assert found.slope == pytest.approx(-1, rel=1e-3)
    assert found.correlation == pytest.approx(-1, rel=1e-3)
    assert all(math.isnan(position.scaled) for position in found.positions)
    Console(width=100).print(attribution_page(found, 100))
    assert "nothing is scaled" in capsys.readouterr().out
