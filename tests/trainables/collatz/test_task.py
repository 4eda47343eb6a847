"""Trials of the Collatz family: configurations, batches, losses, learning."""

import dataclasses
import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from leadline.config import ConfigError, describe, make, to_dict
from leadline.registry import family
from leadline.training.loop import Loop
from trainables.collatz.baselines import potentials
from trainables.collatz.config import CollatzConfig
from trainables.collatz.data import CollatzData, build
from trainables.collatz.evalset import evaluation_set
from trainables.collatz.family import COLLATZ
from trainables.collatz.features import I64, features, width
from trainables.collatz.metrics import margins, score
from trainables.collatz.model import formula
from trainables.collatz.split import LOGGED, TRAIN
from trainables.collatz.task import CollatzTask

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def data() -> CollatzData:
    """Arrays that cannot be written to, as a trial gets them from shared memory."""
    made = build(8192, 0)
    for value in (*vars(made).values(), *vars(made.nodes).values()):
        if isinstance(value, np.ndarray):
            value.flags.writeable = False
    return made


def config(**values: Any) -> CollatzConfig:
    return make(CollatzConfig, values)


def task(data: CollatzData, **values: Any) -> CollatzTask:
    return COLLATZ.task(config(**values), data, CPU)


def drawn(trial: CollatzTask, step: int) -> tuple[I64, int]:
    """Nodes of a step's rows, hard ones first, and how many are hard."""
    (part,) = trial.sampler.parts(step, trial.sampler.active(step))
    return part.index, int(part.hard.sum())


def run(trial: CollatzTask, steps: int) -> None:
    for step in range(steps):
        terms = trial.losses(trial.model, trial.batch(step), step / trial.config.steps)
        trial.optimizers[0].zero_grad()
        torch.stack(list(terms.values())).sum().backward()  # type: ignore[no-untyped-call]
        trial.optimizers[0].step()


def test_registered_and_documented() -> None:
    assert family("collatz") is COLLATZ
    assert COLLATZ.metric(COLLATZ.objective).mode == "min"
    assert all(doc for _, _, _, doc in describe(CollatzConfig))
    assert make(CollatzConfig, to_dict(config(layers="32,16", features="k_shifted"))) == config(
        layers=(32, 16), features="k_shifted"
    )


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"lookahead": 0}, "lookahead"),
        ({"lookahead": 201}, "lookahead"),
        ({"lr": 0}, "lr"),
        ({"features": "everything"}, "features"),
        ({"layers": "64,0"}, "layers"),
        ({"start_seeds": 50}, "start_seeds"),
        ({"skip": True, "features": "k_only"}, "skip"),
        ({"anchor": 0, "anchor_min": 0.1}, "anchor_min"),
        ({"anchor": 0, "target": "adaptive"}, "target"),
        ({"anchor": 0, "target": "split"}, "target"),
        ({"idle": "27"}, "idle"),
        ({"mine_every": 0.1, "hard_ratio": 0}, "mine_every"),
        ({"mine_count": 10, "mine_candidates": 9}, "mine_count"),
        ({"mine_tolerance": 0.9}, "mine_tolerance"),
        ({"common": 9}, "common"),
        ({"common": 201}, "common"),
        ({"guard": "none"}, "guard"),
    ],
)
def test_errors_begin_with_the_field(values: dict[str, Any], field: str) -> None:
    with pytest.raises(ConfigError, match=f"^{field}"):
        make(CollatzConfig, values)


def test_data_key_names_only_what_the_data_depend_on() -> None:
    assert COLLATZ.data_key(config(lookahead=10, seed=1)) == COLLATZ.data_key(config(lookahead=100, lr=0.1))
    assert (
        len({COLLATZ.data_key(config(pool=p, data_seed=s, orbits=o)) for p in (10, 20) for s in (0, 1) for o in (0, 1)})
        == 8
    )


def test_batches_are_deterministic_and_paired_across_lookaheads(data: CollatzData) -> None:
    short, long = task(data, lookahead=10, batch=128), task(data, lookahead=100, batch=128, lr=0.1, layers="8")
    for step in (0, 1, 1999):
        a, b = short.batch(step), long.batch(step)
        assert (drawn(short, step)[0] == drawn(long, step)[0]).all()
        assert torch.equal(a["weight"], b["weight"])
        assert torch.equal(a["now"][:, :5], b["now"][:, :5])
        assert torch.equal(a["now"][:, 6:], b["now"][:, 6:16])
        again = task(data, lookahead=10, batch=128).batch(step)
        assert all(torch.equal(a[name], again[name]) for name in a)
    assert (drawn(short, 0)[0] != drawn(short, 1)[0]).any()
    assert (drawn(short, 0)[0] != drawn(task(data, seed=1, batch=128), 0)[0]).any()


@pytest.mark.parametrize("mode", ["full", "k_only", "k_shifted", "k_only_shifted"])
def test_a_batch_is_what_it_says(data: CollatzData, mode: Any) -> None:
    trial = task(data, lookahead=20, batch=64, features=mode, ramp=0)
    batch = trial.batch(3)
    index, hard = drawn(trial, 3)
    assert hard == 16
    assert {t.shape[0] for t in batch.values()} == {64}
    assert batch["now"].shape[1] == width(mode, 20)
    np.testing.assert_array_equal(batch["now"], features(data.nodes, index, 20, mode))
    np.testing.assert_array_equal(batch["next"], features(data.nodes, index + 1, 20, mode))
    growth = data.nodes.growth(index)
    np.testing.assert_array_equal(batch["weight"][:hard], np.where(growth[:hard], 20, 2))
    np.testing.assert_array_equal(batch["weight"][hard:], np.where(growth[hard:], 10, 1))
    assert batch["hard"].tolist() == [True] * hard + [False] * (64 - hard)


def test_hard_rows_come_from_active_seeds_only(data: CollatzData) -> None:
    trial = task(data, steps=100, start_seeds=0, ramp=0.5, batch=512, hard_ratio=0.5)
    assert drawn(trial, 0)[1] == 0
    assert drawn(trial, 0)[0].min() >= data.pool_first  # not seed 27
    for step, active in ((1, 0), (10, 9), (25, 24), (50, 49), (99, 49)):
        index, hard = drawn(trial, step)
        owner = np.searchsorted(data.first, index[:hard], side="right") - 1
        assert trial.sampler.active(step) == active
        assert set(owner) <= set(range(active))
        assert hard == (256 if active else 0)
        assert (data.nodes.ln[index[:hard]] > 0).all()
    assert set(owner) == set(np.flatnonzero(data.group == TRAIN))
    assert drawn(task(data, hard_ratio=0), 1500)[1] == 0
    assert drawn(task(data, hard_ratio=1), 1500)[0].max() < data.pool_first


def test_tasks_of_one_configuration_are_bit_equal(data: CollatzData) -> None:
    first = task(data, batch=64)
    torch.rand(100)
    second = task(data, batch=64)
    run(first, 20)
    run(second, 20)
    assert all(
        torch.equal(a, b)
        for a, b in zip(first.model.state_dict().values(), second.model.state_dict().values(), strict=True)
    )
    untrained = COLLATZ.model(config(batch=64)).state_dict()
    assert all(
        torch.equal(a, b) for a, b in zip(task(data).model.state_dict().values(), untrained.values(), strict=True)
    )
    other = COLLATZ.model(config(seed=1)).state_dict()
    assert not torch.equal(untrained["net.0.weight"], other["net.0.weight"])


def test_making_a_task_leaves_the_global_generator_alone(data: CollatzData) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    task(data)
    assert torch.equal(torch.rand(3), expected)


def test_terms(data: CollatzData) -> None:
    trial = task(data, batch=64)
    batch = trial.batch(0)
    early, late = trial.losses(trial.model, batch, 0.0), trial.losses(trial.model, batch, 0.5)
    assert list(early) == ["t1", "anchor"]
    assert float(late["anchor"].detach()) == pytest.approx(1e-3 * float(early["anchor"].detach()))
    without = task(data, batch=64, anchor=0)
    assert list(without.losses(without.model, batch, 0.0)) == ["t1"]
    assert trial.model.get_parameter("drift_param").requires_grad is False
    assert trial.facts(1000)["active_seeds"] == 49


def test_further_terms(data: CollatzData) -> None:
    """One forward pass of what is used, each term from its own rows."""
    trial = task(data, batch=64, t4=True, t8=True, anchor=0)
    batch, rows = trial.batch(0), []
    trial.model.register_forward_pre_hook(lambda _, inputs: rows.append(len(inputs[0])))
    terms = trial.losses(trial.model, batch, 0.0)
    assert list(terms) == ["t1", "t4", "t8"]
    assert rows == [4 * 64]
    now = trial.model(batch["now"])
    for name, weight in (("t4", 0.5), ("t8", 0.2)):
        hinge = torch.clamp(0.05 - (now - trial.model(batch[name])), min=0).mean()
        assert float(terms[name].detach()) == pytest.approx(weight * float(hinge.detach()), rel=1e-5)
    assert "t8" not in task(data, batch=64, t4=True).batch(0)


@pytest.mark.parametrize(("target", "trained"), [("fixed", False), ("adaptive", True), ("split", True)])
def test_the_anchors_coefficient_is_trained_where_it_is_used(data: CollatzData, target: str, trained: bool) -> None:
    trial = task(data, batch=64, target=target, start_seeds=20, steps=100)
    run(trial, 20)
    coefficient = trial.model.get_parameter("drift_param")
    assert coefficient.requires_grad == trained
    assert (float(coefficient.detach()) != np.float32(0.35)) == trained
    assert ("drift_coefficient" in trial.facts(20)) == trained


def test_the_learning_rate_follows_the_batch() -> None:
    fields = {"lr": 1e-3, "batch": 1024, "lr_batch": 64}
    rates = [config(**fields, lr_scaling=rule).peak_lr for rule in ("none", "sqrt", "linear")]
    assert rates == pytest.approx([1e-3, 4e-3, 16e-3])
    assert config().peak_lr == config().lr


def test_the_plateau_schedule_dies_of_single_batches(data: CollatzData) -> None:
    """As the log's did: no new low within `patience` steps halves the rate, and single batches seldom set one."""
    loop = Loop(COLLATZ, config(steps=200, eval_every=50, batch=64, pool=8192, layers="8", schedule="plateau"), data)
    rates = [report.facts["learning_rate"] for report in loop.run()]
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] < 1e-5
    assert all(math.log2(1e-3 / rate) % 1 == pytest.approx(0, abs=1e-9) for rate in rates)


def test_figures_on_the_population_are_facts_where_asked_for(data: CollatzData) -> None:
    rows = evaluation_set(500)
    told = task(dataclasses.replace(data, population=rows), population=True).facts(0)
    figures = {
        name.removeprefix("population/"): value for name, value in told.items() if name.startswith("population/")
    }
    assert figures["n_total"] == 500
    assert figures["n_growth"] == rows.growth.sum()
    names = {
        "pass_rate",
        "weighted_pass_rate",
        "growth_pass_rate",
        "growth_weighted_pass_rate",
        "margin_min",
        "margin_5pct",
    }
    assert names < set(figures)
    trial = task(data, lookahead=100, skip=True)
    rates = [
        float((trial.margins(rows.nodes, 2 * np.arange(500))[part] > 0).mean()) for part in (rows.growth, ~rows.growth)
    ]
    assert min(rates) > 0.9, "the formula sees almost every one of them fall"
    assert not any(name.startswith("population/") for name in trial.facts(0))


def test_the_common_subset_is_where_no_lookahead_sees_the_end(data: CollatzData) -> None:
    rows = data.scored("validation")
    left = [steps - np.arange(count) for steps, count in zip(rows.steps, rows.count, strict=True)]
    late = potentials(data, 10)["oracle: steps to 1"]

    def violates_early(index: I64) -> npt.NDArray[np.float64]:
        """Falls while more than 120 steps are left, rises by one afterwards."""
        return np.asarray(np.abs(late(index) - 120))

    found = score(data, "validation", violates_early, 10, 120)
    assert found["common_violations"].value == found["common_hinge"].value == 0
    assert found["common_violations"].n == sum(bool((steps > 120).any()) for steps in left) < 64
    assert found["violations"].value == pytest.approx(np.mean([(steps <= 120).mean() for steps in left]))
    everything = np.concatenate(left)
    for lookahead in (10, 120):
        own = score(data, "validation", violates_early, lookahead)
        assert own["coverage"].value == pytest.approx((everything <= lookahead).mean())
        assert own["coverage"].n == len(everything)
    assert own["common_violations"] == found["common_violations"], "0 stands for the lookahead"
    assert score(data, "validation", violates_early, 10)["common_violations"].n == 64
    assert data.scored("test").steps.max() > 200, "so that there is a common subset at the longest lookahead"
    assert score(data, "validation", late, 200)["common_hinge"].n > 10


def test_leaked_and_unleaked_violations_are_told_apart(data: CollatzData) -> None:
    rows = data.scored("logged")
    private = {int(first + i) for first, length in zip(rows.first, rows.private, strict=True) for i in range(length)}
    inside = np.isin(np.arange(len(data.nodes.ln)), list(private))

    def rises_where_private(index: I64) -> npt.NDArray[np.float64]:
        """Falls by one a step, and rises by one on each private step."""
        down = np.where(inside, -1.0, 1.0)
        return -np.concatenate([[0.0], np.cumsum(down)])[index]

    found = score(data, "validation", rises_where_private, 10)
    assert found["logged_unleaked"].value == found["logged_unleaked"].n == len(private) == 122
    assert (found["logged_leaked"].value, found["logged_leaked"].n) == (0, 307)
    assert found["logged_violations"].value == 122
    assert found["logged_worst"].value == -1
    oracle = score(data, "validation", potentials(data, 10)["oracle: steps to 1"], 10)
    assert math.isnan(oracle["logged_worst"].value)


def test_scores_have_every_declared_metric(data: CollatzData) -> None:
    trial = task(data, lookahead=10)
    for split in ("train", "validation", "test"):
        found = trial.evaluate(split)
        assert list(found) == [metric.name for metric in COLLATZ.metrics]
    assert found["violations"].n == 128
    assert trial.model.training
    baselines = COLLATZ.baselines(trial.config, data, "validation")
    assert all(list(scores) == list(found) for scores in baselines.values())


@pytest.mark.parametrize("mode", ["full", "k_shifted"])
@pytest.mark.parametrize("lookahead", [10, 100])
def test_the_skip_path_starts_at_the_formula(data: CollatzData, mode: Any, lookahead: int) -> None:
    trial = task(data, lookahead=lookahead, features=mode, skip=True)
    rows = data.scored("logged")
    found = sum(int((m <= 0).sum()) for m in margins(rows, trial.potential))
    assert found == {10: 176, 100: 6}[lookahead]
    line = formula(mode, lookahead)
    node = data.first[data.group == LOGGED] + 10
    x = torch.from_numpy(features(data.nodes, node, lookahead, mode))
    ln = np.array([data.nodes.ln[n : n + lookahead + 1] for n in node[-1:]])
    value = float((x @ line.weight)[-1]) + line.bias
    assert value == pytest.approx(ln.mean() + lookahead / 2 * np.log(4 / 3), abs=1e-2)
    one = torch.from_numpy(features(data.nodes, data.first[:1] + data.steps[:1], lookahead, mode))
    clipped = float((one @ line.weight)[0]) + line.bias
    assert clipped == pytest.approx(0, abs=1e-4 + 0.4 * one[0, 0].item())


def test_learns_more_than_the_logarithm(data: CollatzData) -> None:
    trial = task(data, steps=600, batch=256, lookahead=10)
    before = trial.evaluate("validation")["hinge"].value
    run(trial, 600)
    after = trial.evaluate("validation")
    log = COLLATZ.baselines(trial.config, data, "validation")["ln n"]
    assert after["hinge"].value < before
    assert after["violations"].high < log["violations"].low
