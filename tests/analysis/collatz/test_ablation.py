"""Inputs masked, permuted and left out of training."""

from __future__ import annotations

import io
import itertools
import json

import numpy as np
import pytest
import torch
from rich.console import Console

from analysis.collatz.ablation import Ablation, Effect, MaskedFamily, ablation, groups, masked, permuted, training_mean
from analysis.collatz.subject import FIRST_SEED, Subject, network_potential
from analysis.collatz.tables import ablation_page
from analysis.questions import plain
from leadline.statistics import two_way
from leadline.training.loop import Loop
from tests.analysis.collatz.subjects import config, data, formula_network, trained, untrained
from trainables.collatz.features import MAX_LOOKAHEAD, Mode, features, width
from trainables.collatz.metrics import score
from trainables.collatz.model import formula

LOOKAHEAD = 20


def by_way(found: Ablation, way: str) -> list[Effect]:
    return [effect for effect in found.effects if effect.way == way]


def shown(found: Ablation, width: int) -> str:
    """The page as printed, its words one space apart."""
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(ablation_page(found, width))
    return " ".join(console.export_text().split())


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
        assert effects[group, way].differences["hinge"].units == (0.0,) * 128
        assert effects[group, way].differences["violations"].units == (0.0,) * 128
    for group in ("size", "near k (1-10)"):
        assert effects[group, "masked"].differences["hinge"].low > 0
        assert effects[group, "permuted"].differences["violations"].low > 0
    spread = effects["size", "permuted"].spread
    assert spread is not None
    assert spread[0] < effects["size", "permuted"].values["hinge"].value < spread[1]
    assert effects["residues", "permuted"].spread == (found.intact["hinge"].value,) * 2


def test_intact_is_the_trial_itself_on_test() -> None:
    chosen = config()
    loop = trained(chosen)
    lines: list[str] = []
    found = ablation(Subject("probe", chosen, data(), loop.task.model), log=lines.append)
    reported = loop.task.evaluate("test")
    assert found.steps == chosen.steps
    for name in ("hinge", "violations"):
        assert found.intact[name] == reported[name]
    assert [effect.way for effect in found.effects] == ["masked", "permuted", "retrained"] * len(found.groups)
    assert lines[0] == "trains 7 networks of 40 steps: with all inputs and without each of 6 groups"
    whats = ("with all inputs", *(f"without {group.name}" for group in found.groups))
    assert lines[1:] == [f"{what}, replicate 1 of 1, 40 steps" for what in whats]


@pytest.fixture(scope="module")
def replicated() -> Ablation:
    return ablation(untrained(lookahead=2, features="k_only"), 5, replicates=2)


def test_the_controls_have_the_replicates_seeds_not_the_trials(replicated: Ablation) -> None:
    assert replicated.seeds == [FIRST_SEED, FIRST_SEED + 1]
    runs = [retrained(seed, ()) for seed in replicated.seeds]
    assert replicated.control["hinge"].value == pytest.approx(np.mean(runs), rel=1e-12)
    assert replicated.control["hinge"].n == 128


def retrained(seed: int, columns: tuple[int, ...]) -> list[float]:
    """Hinge of each test orbit after a training by the ordinary loop, columns at the mean of the
    whole budget's batches.
    """
    chosen = config(lookahead=2, features="k_only", steps=5, eval_every=5, seed=seed)
    mean = training_mean(config(lookahead=2, features="k_only"), data())
    loop = Loop(MaskedFamily(columns, mean), chosen, data())
    list(loop.run())
    loop.task.model.eval()
    return list(loop.task.evaluate("test")["hinge"].units)


def test_retrained_differences_are_paired_over_replicates_and_orbits(replicated: Ablation) -> None:
    (effect,) = by_way(replicated, "retrained")
    assert effect.group == "near k (1-2)"
    without, full = ([retrained(seed, columns) for seed in replicated.seeds] for columns in ((0, 1), ()))
    assert effect.differences["hinge"] == two_way(np.array(without) - np.array(full)).measure()
    assert effect.spread == tuple(sorted(np.mean(without, axis=1)))
    one = two_way(np.array(without[:1]) - np.array(full[:1])).measure()
    assert effect.differences["hinge"] != one


def test_few_replicates_claim_nothing(replicated: Ablation) -> None:
    assert [effect.scope for effect in replicated.effects] == [
        "one network",
        "one network",
        "no claim: only 2 of 5 replicates",
    ]
    for columns in (80, 200):
        text = shown(replicated, columns)
        assert text.count("one network") >= 2
        assert text.count("no claim: only") == 1
    assert "no claim: only 2 of 5 replicates" in text
    assert "intervals over orbits for this one network" in text
    assert "2 replicates, with intervals over replicates and orbits" in text


def test_enough_replicates_have_no_such_word() -> None:
    found = ablation(untrained(lookahead=2, features="k_only"), 1, replicates=5)
    assert [effect.scope for effect in by_way(found, "retrained")] == ["configuration and budget"]
    assert "no claim" not in shown(found, 200)


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


def test_the_mask_is_the_mean_and_nothing_else() -> None:
    """Of a network that is the formula: masking a column shifts V by its weight times the distance from the mean."""
    subject = formula_network(lookahead=LOOKAHEAD)
    mean = training_mean(subject.config, data())
    size = groups("full", LOOKAHEAD)[0]
    index = np.arange(50)
    seen, hidden = subject.potential()(index), subject.potential(masked(size.columns, mean))(index)
    x = features(data().nodes, index, LOOKAHEAD)
    weight = float(formula("full", LOOKAHEAD).weight[0])
    expected = weight * (float(mean[0]) - x[:, 0])
    line = np.log(np.expm1(np.stack([seen, hidden]).astype(np.float64) - 1e-6))  # the inverse of V's softplus
    assert line[1] - line[0] == pytest.approx(expected, abs=1e-3)
