"""Trials of the Collatz family: configurations, batches, losses, learning."""

from typing import Any

import numpy as np
import pytest
import torch

from trainables.collatz.config import CollatzConfig
from trainables.collatz.data import CollatzData, build
from trainables.collatz.family import COLLATZ
from trainables.collatz.features import features, width
from trainables.collatz.metrics import margins
from trainables.collatz.model import formula
from trainables.collatz.split import LOGGED, TRAIN
from trainables.collatz.task import CollatzTask
from trainables.config import ConfigError, describe, make, to_dict
from trainables.registry import family

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
    assert make(CollatzConfig, to_dict(config(layers="32,16", features="k_shifted"))) == config(layers=(32, 16), features="k_shifted")


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
    ],
)
def test_errors_begin_with_the_field(values: dict[str, Any], field: str) -> None:
    with pytest.raises(ConfigError, match=f"^{field}"):
        make(CollatzConfig, values)


def test_data_key_names_only_what_the_data_depend_on() -> None:
    assert COLLATZ.data_key(config(lookahead=10, seed=1)) == COLLATZ.data_key(config(lookahead=100, lr=0.1))
    assert len({COLLATZ.data_key(config(pool=p, data_seed=s)) for p in (10, 20) for s in (0, 1)}) == 4


def test_batches_are_deterministic_and_paired_across_lookaheads(data: CollatzData) -> None:
    short, long = task(data, lookahead=10, batch=128), task(data, lookahead=100, batch=128, lr=0.1, layers="8")
    for step in (0, 1, 1999):
        a, b = short.batch(step), long.batch(step)
        assert (short.draw(step)[0] == long.draw(step)[0]).all()
        assert torch.equal(a["weight"], b["weight"])
        assert torch.equal(a["now"][:, :5], b["now"][:, :5])
        assert torch.equal(a["now"][:, 6:], b["now"][:, 6:16])
        again = task(data, lookahead=10, batch=128).batch(step)
        assert all(torch.equal(a[name], again[name]) for name in a)
    assert (short.draw(0)[0] != short.draw(1)[0]).any()
    assert (short.draw(0)[0] != task(data, seed=1, batch=128).draw(0)[0]).any()


@pytest.mark.parametrize("mode", ["full", "k_only", "k_shifted", "k_only_shifted"])
def test_a_batch_is_what_it_says(data: CollatzData, mode: Any) -> None:
    trial = task(data, lookahead=20, batch=64, features=mode, ramp=0)
    batch = trial.batch(3)
    index, hard = trial.draw(3)
    assert hard == 16
    assert {t.shape[0] for t in batch.values()} == {64}
    assert batch["now"].shape[1] == width(mode, 20)
    np.testing.assert_array_equal(batch["now"], features(data.nodes, index, 20, mode))
    np.testing.assert_array_equal(batch["next"], features(data.nodes, index + 1, 20, mode))
    growth = data.nodes.growth(index)
    np.testing.assert_array_equal(batch["weight"][:hard], np.where(growth[:hard], 20, 2))
    np.testing.assert_array_equal(batch["weight"][hard:], np.where(growth[hard:], 10, 1))


def test_hard_rows_come_from_active_seeds_only(data: CollatzData) -> None:
    trial = task(data, steps=100, start_seeds=0, ramp=0.5, batch=512, hard_ratio=0.5)
    assert trial.draw(0)[1] == 0
    assert trial.draw(0)[0].min() >= data.pool_first  # not seed 27
    for step, active in ((1, 0), (10, 9), (25, 24), (50, 49), (99, 49)):
        index, hard = trial.draw(step)
        owner = np.searchsorted(data.first, index[:hard], side="right") - 1
        assert trial.active(step) == active
        assert set(owner) <= set(range(active))
        assert hard == (256 if active else 0)
        assert (data.nodes.ln[index[:hard]] > 0).all()
    assert set(owner) == set(np.flatnonzero(data.group == TRAIN))
    assert task(data, hard_ratio=0).draw(1500)[1] == 0
    assert task(data, hard_ratio=1).draw(1500)[0].max() < data.pool_first


def test_tasks_of_one_configuration_are_bit_equal(data: CollatzData) -> None:
    first = task(data, batch=64)
    torch.rand(100)
    second = task(data, batch=64)
    run(first, 20)
    run(second, 20)
    assert all(torch.equal(a, b) for a, b in zip(first.model.state_dict().values(), second.model.state_dict().values(), strict=True))
    untrained = COLLATZ.model(config(batch=64)).state_dict()
    assert all(torch.equal(a, b) for a, b in zip(task(data).model.state_dict().values(), untrained.values(), strict=True))
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
