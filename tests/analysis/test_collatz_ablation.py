"""Inputs masked, permuted and left out of training."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
import torch

from analysis.collatz.ablation import MaskedFamily, ablation, groups, masked, permuted, training_mean
from analysis.collatz.subject import Subject, network_potential
from analysis.collatz.tables import plain
from tests.analysis.collatz_subjects import config, data, formula_network, trained, untrained
from trainables.collatz.features import MAX_LOOKAHEAD, Mode, width
from trainables.collatz.metrics import score
from trainables.loop import Loop

LOOKAHEAD = 20


@pytest.mark.parametrize("mode", ["full", "k_only", "k_shifted", "k_only_shifted"])
def test_groups_are_disjoint_and_hold_every_column(mode: Mode) -> None:
    for lookahead in range(1, MAX_LOOKAHEAD + 1):
        columns = list(itertools.chain.from_iterable(group.columns for group in groups(mode, lookahead)))
        assert columns == list(range(width(mode, lookahead)))


def test_groups_by_name() -> None:
    assert [group.name for group in groups("full", 100)] == [
        *("size", "residues", "drift"),
        *("near k (1-10)", "middle k (11-67)", "far k (68-100)"),
    ]
    assert [group.name for group in groups("k_only", 10)] == ["near k (1-7)", "far k (8-10)"]


def test_masked_and_permuted_leave_the_other_columns_alone() -> None:
    x = torch.rand(50, 6, generator=torch.Generator().manual_seed(0))
    before = x.clone()
    hidden = masked((1, 4), torch.arange(6.0))(x)
    assert hidden[:, [1, 4]].tolist() == [[1.0, 4.0]] * 50
    shuffled = permuted((1, 4), 0)(x)
    for changed in (hidden, shuffled):
        assert torch.equal(changed[:, [0, 2, 3, 5]], x[:, [0, 2, 3, 5]])
    assert sorted(shuffled[:, [1, 4]].tolist()) == sorted(x[:, [1, 4]].tolist())
    assert not torch.equal(shuffled, x)
    assert torch.equal(shuffled, permuted((1, 4), 0)(x))
    assert not torch.equal(shuffled, permuted((1, 4), 1)(x))
    assert torch.equal(x, before)


def test_training_mean_is_that_of_the_batches() -> None:
    chosen = config(batch=32, steps=16)
    task = trained(chosen).task
    rows = torch.cat([task.batch(step)["now"] for step in range(16)])
    assert training_mean(chosen, data()).tolist() == pytest.approx(rows.double().mean(0).tolist(), rel=1e-6)


def test_the_formula_as_a_network_needs_neither_residues_nor_drift() -> None:
    found = ablation(formula_network(lookahead=LOOKAHEAD, steps=2))
    effects = {(effect.group, effect.way): effect for effect in found.effects}
    for group, way in itertools.product(("residues", "drift"), ("masked", "permuted")):
        assert effects[group, way].differences["hinge"].units == (0.0,) * 64
        assert effects[group, way].differences["violations"].units == (0.0,) * 64
    for group in ("size", "near k (1-10)"):
        assert effects[group, "masked"].differences["hinge"].low > 0
        assert effects[group, "permuted"].differences["violations"].low > 0
    spread = effects["size", "permuted"].spread
    assert spread is not None
    assert spread[0] < effects["size", "permuted"].values["hinge"].value < spread[1]
    assert effects["residues", "permuted"].spread == (found.intact["hinge"].value,) * 2


def test_intact_and_control_are_the_trial_itself() -> None:
    chosen = config()
    loop = trained(chosen)
    lines: list[str] = []
    found = ablation(Subject("probe", chosen, data(), loop.task.model), log=lines.append)
    reported = loop.history[-1].metrics
    assert found.steps == chosen.steps
    for name in ("hinge", "violations"):
        assert found.intact[name] == reported[f"validation/{name}"]
        assert found.control[name] == reported[f"validation/{name}"]
    assert [effect.way for effect in found.effects] == ["masked", "permuted", "retrained"] * len(found.groups)
    assert len(lines) == 1 + len(found.groups)


def test_a_shorter_budget_and_plain_values() -> None:
    found = plain(ablation(untrained(lookahead=2), 3))
    assert found["steps"] == 3
    assert found["control"]["hinge"]["value"] != found["intact"]["hinge"]["value"]
    assert {effect["way"] for effect in found["effects"]} == {"masked", "permuted", "retrained"}
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_a_network_retrained_without_a_group_cannot_see_it() -> None:
    chosen = config()
    size = groups("full", LOOKAHEAD)[0]
    loop = Loop(MaskedFamily(size.columns, training_mean(chosen, data())), chosen, data())
    (report,) = loop.run()
    seen = network_potential(chosen, data(), loop.task.model.eval())
    index = np.arange(300)
    shuffled = network_potential(chosen, data(), loop.task.model, permuted(size.columns, 1))
    assert np.array_equal(seen(index), shuffled(index))
    assert score(data(), "validation", seen, LOOKAHEAD)["hinge"] == report.metrics["validation/hinge"]
    intact = trained(chosen)
    assert report.metrics["validation/hinge"] != intact.history[-1].metrics["validation/hinge"]


def test_a_network_without_finite_values_has_no_difference() -> None:
    subject = formula_network(lookahead=2, steps=1)
    with torch.no_grad():
        for parameter in subject.model.parameters():
            parameter.fill_(torch.nan)
    found = ablation(subject)
    assert np.isnan(found.effects[0].differences["hinge"].value)
