"""Numbers recorded from the log's own code: see tests/golden/README.md."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from leadline.config import make
from trainables.collatz import losses
from trainables.collatz.config import CollatzConfig
from trainables.collatz.data import CollatzData, build
from trainables.collatz.evalset import MD5, EvaluationSet, csv, evaluation_set
from trainables.collatz.family import COLLATZ
from trainables.collatz.features import (
    I64,
    MAX_LOOKAHEAD,
    REACH,
    Mode,
    Nodes,
    drift,
    features,
    nodes_of,
    of_numbers,
    pair,
    table,
    window,
)
from trainables.collatz.metrics import population, worst_margin
from trainables.collatz.model import LyapunovNet, network
from trainables.collatz.orbits import excursions, from_limbs, natural_log, steps_to_one, to_limbs, trace
from trainables.collatz.split import HARD_SEEDS, LOGGED_SEEDS, TRAIN_SEEDS

GOLDEN = Path(__file__).parents[2] / "golden"
NETS = ("collatz_net_0_full_L10", "collatz_net_1_k_only_L20", "collatz_net_2_k_shifted_L100")
MODES: tuple[Mode, ...] = ("full", "k_only", "k_shifted", "k_only_shifted")

Arrays = dict[str, npt.NDArray[Any]]


def load(name: str) -> Arrays:
    with np.load(GOLDEN / f"{name}.npz", allow_pickle=False) as file:
        return dict(file)


@pytest.fixture(scope="module")
def data() -> CollatzData:
    return build(1024, 0)


def integers(strings: npt.NDArray[Any]) -> list[int]:
    return [int(s) for s in strings]


def nine_nodes(numbers: list[int]) -> tuple[Nodes, I64]:
    run = trace(to_limbs(numbers), REACH + MAX_LOOKAHEAD, REACH + 1)
    return nodes_of([table(run.k, run.numbers)]), np.arange(len(numbers)) * (REACH + 1)


@pytest.mark.parametrize("lookahead", [10, 20, 100])
def test_features(lookahead: int) -> None:
    golden = load("collatz_features")
    nodes, index = nine_nodes(integers(golden["features/n"]))
    assert from_limbs(trace(to_limbs(integers(golden["features/n"])), 1, 2).numbers[1]) == integers(
        golden["features/t1"]
    )
    assert (window(nodes, index, lookahead) == golden[f"features/k_raw_L{lookahead}"]).all()
    np.testing.assert_allclose(drift(nodes, index, lookahead), golden[f"features/drift_L{lookahead}"], atol=1e-12)
    for mode in MODES:
        np.testing.assert_allclose(
            features(nodes, index, lookahead, mode), golden[f"features/{mode}_L{lookahead}"], atol=4e-7
        )
        now, following, bits = pair(nodes, index, lookahead, mode)
        assert (now == features(nodes, index, lookahead, mode)).all()
        assert (following == features(nodes, index + 1, lookahead, mode)).all()
        np.testing.assert_array_equal(bits, drift(nodes, index, lookahead))


class Net:
    """One recorded network with its batch."""

    def __init__(self, name: str) -> None:
        self.golden = load(name)
        self.meta = json.loads(str(self.golden["meta"]))
        self.nodes, self.index = nine_nodes(integers(self.golden["batch/n"]))
        self.model = LyapunovNet(self.meta["input_dim"], tuple(self.meta["layers"]))
        self.model.load_state_dict({k[2:]: torch.from_numpy(v) for k, v in self.golden.items() if k.startswith("w/")})

    def inputs(self, nodes: Nodes, index: I64) -> Tensor:
        return torch.from_numpy(features(nodes, index, self.meta["lookahead"], self.meta["mode"]))

    def v(self, ahead: int = 0) -> Tensor:
        return torch.as_tensor(self.model(self.inputs(self.nodes, self.index + ahead)))

    def target(self, coefficient: float | Tensor) -> Tensor:
        bits = torch.from_numpy(drift(self.nodes, self.index, self.meta["lookahead"]))
        return (torch.from_numpy(self.nodes.ln[self.index]) + coefficient * bits).float()

    def loss(self, terms: list[str], anchor: float, target: Tensor) -> Tensor:
        now, margin = self.v(), self.meta["margin"]
        weight = torch.from_numpy(self.golden["batch/weights"]).float()
        total = anchor * losses.anchor_loss(now, target)
        total = total + losses.t1(now, self.v(1), weight, margin)
        if "T4" in terms:
            total = total + losses.t4(now, self.v(4), margin)
        if "T8" in terms:
            total = total + losses.t8(now, self.v(8), margin)
        return total


@pytest.fixture(scope="module", params=NETS)
def net(request: pytest.FixtureRequest) -> Net:
    return Net(request.param)


def test_iterates_and_outputs(net: Net) -> None:
    run = trace(to_limbs(integers(net.golden["batch/n"])), REACH, REACH + 1)
    for j in (1, 4, 8):
        assert from_limbs(run.numbers[j]) == integers(net.golden[f"batch/t{j}"])
    np.testing.assert_allclose(net.inputs(net.nodes, net.index), net.golden["batch/features_n"], atol=4e-7)
    np.testing.assert_allclose(net.nodes.ln[net.index], net.golden["batch/log_n"], rtol=1e-14)
    np.testing.assert_allclose(
        drift(net.nodes, net.index, net.meta["lookahead"]), net.golden["batch/drift"], atol=1e-12
    )
    for j, name in ((0, "n"), (1, "t1"), (4, "t4"), (8, "t8")):
        np.testing.assert_allclose(net.v(j).detach(), net.golden[f"out/V_{name}"][:, 0], atol=2e-5)
    assert sum(p.numel() for p in net.model.parameters()) == net.meta["params"]


def test_losses(net: Net) -> None:
    np.testing.assert_allclose(net.target(0.35), net.golden["batch/target_fixed"][:, 0], rtol=1e-6, atol=1e-5)
    for name, value in zip(net.golden["loss/names"], net.golden["loss/values"], strict=True):
        terms, _, anchor = str(name).partition("|anchor=")
        assert float(net.loss(terms.split("+"), float(anchor), net.target(0.35)).detach()) == pytest.approx(
            value, rel=1e-5
        )


def test_weights_of_the_recorded_batch(net: Net) -> None:
    growth = net.nodes.growth(net.index).astype(int)
    hard = np.arange(len(growth)) < net.meta["hard_rows_first"]
    expected = np.where(hard, np.asarray(losses.HARD_WEIGHTS)[growth], np.asarray(losses.RANDOM_WEIGHTS)[growth])
    assert (net.golden["batch/weights"] == expected).all()


def test_gradients(net: Net) -> None:
    net.model.zero_grad()
    net.loss(["T1", "T4", "T8"], 1.0, net.target(0.35)).backward()  # type: ignore[no-untyped-call]
    for name, parameter in net.model.named_parameters():
        if name == "drift_param":
            assert parameter.grad is None
            continue
        expected = torch.from_numpy(net.golden[f"grad/{name}"])
        assert parameter.grad is not None
        assert float((parameter.grad - expected).norm() / expected.norm()) < 1e-4


def test_adaptive_target(net: Net) -> None:
    coefficient = net.model.drift_param.detach().clone().requires_grad_()
    loss = net.loss(["T1", "T4", "T8"], 1.0, net.target(coefficient))
    loss.backward()  # type: ignore[no-untyped-call]
    assert float(loss.detach()) == pytest.approx(float(net.golden["loss/adaptive_T1+T4+T8_anchor1"]), rel=1e-5)
    assert coefficient.grad is not None
    assert float(coefficient.grad) == pytest.approx(float(net.golden["grad_adaptive/drift_param"]), rel=1e-4)
    rows = torch.arange(len(net.index)) < net.meta["hard_rows_first"]
    split = torch.where(rows, net.target(coefficient.detach()), net.target(0.35))
    np.testing.assert_allclose(split, net.golden["batch/target_adaptive_split"][:, 0], rtol=1e-6, atol=1e-5)
    assert float(net.loss(["T1"], 1.0, split).detach()) == pytest.approx(
        float(net.golden["loss/adaptive_split_T1_anchor1"]), rel=1e-5
    )


def test_trajectories(net: Net) -> None:
    golden = net.golden
    for i, seed in enumerate(golden["traj/seeds"].tolist()):
        steps = int(golden["traj/length"][i])
        run = trace(to_limbs([seed]), steps + REACH + MAX_LOOKAHEAD, steps + 1)
        nodes = nodes_of([table(run.k, run.numbers)])
        v = net.model(net.inputs(nodes, np.arange(steps + 1))).detach().numpy()
        np.testing.assert_allclose(v, golden[f"traj/{seed}/V"], atol=2e-5)
        margins = v[:-1] - v[1:]
        assert int((margins <= 0).sum()) == golden["traj/violations"][i]
        assert worst_margin([margins.astype(np.float64)]) == pytest.approx(golden["traj/worst_margin"][i], abs=1e-4)
    steps, violations = int(golden["traj/length"].sum()), int(golden["traj/violations"].sum())
    assert steps == golden["traj/total_steps"]
    assert violations == golden["traj/total_violations"]
    assert float(golden["traj/violation_rate"]) == pytest.approx(violations / steps)


def test_scores_of_a_recorded_network(net: Net, data: CollatzData) -> None:
    """The metrics that trials report, of a task that has a recorded network's weights."""
    meta, golden = net.meta, net.golden
    fields = {"lookahead": meta["lookahead"], "features": meta["mode"], "layers": tuple(meta["layers"]), "common": 200}
    task = COLLATZ.task(make(CollatzConfig, fields), data, torch.device("cpu"))
    task.model.load_state_dict(net.model.state_dict())
    found = {name: measure.value for name, measure in task.evaluate("validation").items()}
    assert found["logged_violations"] == golden["traj/total_violations"]
    assert found["logged_leaked"] + found["logged_unleaked"] == golden["traj/total_violations"]
    assert [found[f"logged_{seed}"] for seed in golden["traj/seeds"]] == golden["traj/violations"].tolist()
    assert found["logged_worst"] == pytest.approx(golden["traj/worst_margin"].min(), abs=1e-4)


@pytest.mark.parametrize("target", ["fixed", "adaptive", "split"])
def test_the_loss_of_a_trial(net: Net, data: CollatzData, target: str) -> None:
    """What a task makes of the recorded batch, in one piece and in micro-batches; rows in another order."""
    meta, golden, margin = net.meta, net.golden, net.meta["margin"]
    fields = {
        "lookahead": meta["lookahead"],
        "features": meta["mode"],
        "layers": tuple(meta["layers"]),
        "target": target,
        "margin": margin,
    }
    task = COLLATZ.task(
        make(CollatzConfig, {**fields, "t4": target != "split", "t8": target != "split"}), data, torch.device("cpu")
    )
    task.model.load_state_dict(net.model.state_dict())
    batch = {
        "now": net.inputs(net.nodes, net.index),
        "next": net.inputs(net.nodes, net.index + 1),
        "t4": net.inputs(net.nodes, net.index + 4),
        "t8": net.inputs(net.nodes, net.index + 8),
        "weight": torch.from_numpy(golden["batch/weights"]).float(),
        "hard": torch.arange(len(net.index)) < meta["hard_rows_first"],
        "ln": torch.from_numpy(golden["batch/log_n"]).float(),
        "drift": torch.from_numpy(golden["batch/drift"]).float(),
        "target": torch.from_numpy(golden["batch/target_fixed"][:, 0]),
    }
    order = np.random.default_rng(0).permutation(len(net.index))
    parts = [{name: rows[order[i : i + 16]] for name, rows in batch.items()} for i in range(0, len(order), 16)]
    whole = torch.stack(list(task.losses(task.model, batch, 0.0).values())).sum()
    pieces = [torch.stack(list(task.losses(task.model, part, 0.0).values())).sum() / len(parts) for part in parts]
    named = dict(zip(golden["loss/names"].tolist(), golden["loss/values"].tolist(), strict=True))
    expected = {
        "fixed": named["T1+T4+T8|anchor=1.0"],
        "adaptive": golden["loss/adaptive_T1+T4+T8_anchor1"],
        "split": golden["loss/adaptive_split_T1_anchor1"],
    }[target]
    assert float(whole.detach()) == pytest.approx(float(expected), rel=1e-5)
    assert float(torch.stack(pieces).sum().detach()) == pytest.approx(float(expected), rel=1e-5)
    whole.backward()  # type: ignore[no-untyped-call]
    found = task.model.get_parameter("drift_param").grad
    assert (found is None) == (target == "fixed")
    if target == "adaptive":
        assert found is not None
        assert float(found) == pytest.approx(float(golden["grad_adaptive/drift_param"]), rel=1e-4)


def test_population(net: Net) -> None:
    head = load("b_collatz_evalset")
    nodes, index = nine_nodes(integers(head["head/n"]))
    with torch.no_grad():
        margins = (net.model(net.inputs(nodes, index)) - net.model(net.inputs(nodes, index + 1))).numpy()
    np.testing.assert_allclose(margins, net.golden["pop/margins"], atol=2e-5)
    assert (nodes.growth(index) == head["head/is_growth"]).all()
    found = population(margins, nodes.growth(index), head["head/w_expansion"].astype(np.float32))
    expected = dict(zip(net.golden["pop/metric_names"].tolist(), net.golden["pop/metric_values"].tolist(), strict=True))
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=1e-3 if name.endswith("rate") else 1e-4), name


@pytest.fixture(scope="module")
def evaluation() -> EvaluationSet:
    return evaluation_set()


def test_the_evaluation_set_is_the_logs_file(evaluation: EvaluationSet) -> None:
    content = csv(evaluation)
    for golden, prefix in ((load("b_collatz_evalset"), ""), (load("collatz_schedule_csv"), "csv/")):
        assert hashlib.md5(content, usedforsecurity=False).hexdigest() == str(golden[f"{prefix}md5"]) == MD5
        assert hashlib.sha256(content).hexdigest() == str(golden[f"{prefix}sha256"])
        assert len(content) == golden[f"{prefix}bytes"]


def test_first_rows_of_the_evaluation_set(evaluation: EvaluationSet) -> None:
    head, first = load("b_collatz_evalset"), load("collatz_schedule_csv")
    n, following, peak = (from_limbs(x) for x in (evaluation.numbers, evaluation.following, evaluation.peak))
    largest = [3 * m + 1 for m in peak]
    for rows, golden in ((2000, {name[5:]: v for name, v in head.items() if name.startswith("head/")}), (5, first)):
        prefix = "csv/first5_" if rows == 5 else ""
        assert n[:rows] == integers(golden[f"{prefix}n"])
        assert following[:rows] == integers(golden[f"{prefix}t1"])
        assert largest[:rows] == integers(golden[f"{prefix}max_n"])
        assert evaluation.sigma[:rows].tolist() == golden[f"{prefix}sigma" if prefix else "sigma_n"].tolist()
        np.testing.assert_allclose(
            evaluation.weight[:rows], golden[f"{prefix}w" if prefix else "w_expansion"], rtol=1e-6
        )
    assert (evaluation.growth[:2000] == head["head/is_growth"]).all()
    assert n[-1] == int(first["csv/last_n"])


def test_figures_of_the_evaluation_set(evaluation: EvaluationSet) -> None:
    a, b = (
        load("b_collatz_evalset"),
        {name[4:]: value for name, value in load("collatz_schedule_csv").items() if name.startswith("csv/")},
    )
    n, sigma, weight = from_limbs(evaluation.numbers), evaluation.sigma, evaluation.weight.astype(np.float64)
    largest = max(3 * m + 1 for m in from_limbs(evaluation.peak))
    assert len(n) == a["rows"] == b["rows"]
    assert int(evaluation.growth.sum()) == a["growth_rows"] == b["growth_rows"]
    assert [sigma.min(), sigma.max(), sigma.sum()] == [a["sigma_min"], a["sigma_max"], a["sigma_sum"]]
    assert [sigma.max(), sigma.sum()] == [b["sigma_max"], b["sigma_sum"]]
    assert sigma.mean() == pytest.approx(float(a["sigma_mean"]))
    expected = [a["w_min"], a["w_max"], a["w_mean"], a["w_sum"], *b["w_min_max"], b["w_sum"]]
    found = [weight.min(), weight.max(), weight.mean(), weight.sum(), weight.min(), weight.max(), weight.sum()]
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert largest == int(b["max_of_max_n"])
    assert len(str(largest)) == a["max_n_digits_max"]
    assert np.bincount([x.bit_length() for x in n], minlength=129).tolist() == a["bit_length_counts"].tolist()
    assert max(n).bit_length() == b["max_bit_length"]
    assert sum(n) % (2**61 - 1) == a["n_sum_mod_2_61m1"]
    assert sum(n) == int(b["sum_n"])
    assert n.count(1) == b["rows_n_equals_1"]


def test_seeds_and_orbits() -> None:
    golden = load("b_collatz_curriculum")
    assert golden["hard_seeds"].tolist() == list(HARD_SEEDS)
    assert golden["test_seeds"].tolist() == list(LOGGED_SEEDS)
    assert golden["train_seeds"].tolist() == list(TRAIN_SEEDS)
    steps = steps_to_one(to_limbs(LOGGED_SEEDS))
    other = load("collatz_schedule_csv")
    assert steps.tolist() == other["seeds/steps"].tolist()
    assert other["seeds/test"].tolist() == list(LOGGED_SEEDS)
    assert other["active/train_seeds_in_order"].tolist() == list(TRAIN_SEEDS)
    assert from_limbs(excursions(to_limbs(LOGGED_SEEDS)).peak) == integers(golden["test/odd_max"])
    run = trace(to_limbs(LOGGED_SEEDS), int(steps.max()), int(steps.max()) + 1)
    for i, seed in enumerate(LOGGED_SEEDS):
        orbit = run.numbers[: steps[i] + 1, :, i].T
        assert from_limbs(orbit) == integers(golden[f"traj/{seed}"])
        assert max(from_limbs(orbit)) == int(golden["test/odd_max"][i]) == int(other["seeds/odd_max"][i])
        assert max(from_limbs(orbit)) / seed == pytest.approx(float(golden["test/excursion_ratio"][i]))
        growth = np.diff(natural_log(orbit)) > 0
        assert int(growth.sum()) == golden["test/growth_steps"][i] == other["seeds/growth_steps"][i]
        runs = "".join("g" if grows else " " for grows in growth).split()
        assert (
            max(map(len, runs)) == golden["test/max_consecutive_growth"][i] == other["seeds/max_consecutive_growth"][i]
        )


def test_active_seeds() -> None:
    golden = load("b_collatz_curriculum")
    columns = (
        golden[name].tolist() for name in ("epoch", "ramp_len", "start_seeds", "active_count", "last_active_seed")
    )
    for epoch, ramp, start, count, last in zip(*columns, strict=True):
        found = losses.active_seeds(epoch, ramp, start, len(TRAIN_SEEDS))
        assert found == count
        assert last == (TRAIN_SEEDS[found - 1] if found else -1)
    for epoch, ramp, start, count in load("collatz_schedule_csv")["active/epoch_ramp_start_count"].tolist():
        assert losses.active_seeds(epoch, ramp, start, len(TRAIN_SEEDS)) == count


def test_anchor_weights() -> None:
    golden = load("b_collatz_curriculum")
    for (start, length, minimum), weights in zip(
        golden["anchor/config"].tolist(), golden["anchor/weight"], strict=True
    ):
        found = [losses.anchor_weight(epoch, start, length, minimum) for epoch in golden["anchor/epoch"].tolist()]
        np.testing.assert_allclose(found, weights, rtol=1e-12)
    for start, length, minimum, epoch, weight in load("collatz_schedule_csv")[
        "anchor/start_len_min_epoch_weight"
    ].tolist():
        assert losses.anchor_weight(epoch, start, length, minimum) == pytest.approx(weight, rel=1e-12)


@pytest.mark.parametrize(("lookahead", "count"), [(10, 4_405_250), (20, 4_425_730), (100, 4_589_570)])
def test_parameter_counts_of_the_log(lookahead: int, count: int) -> None:
    config = make(CollatzConfig, {"lookahead": lookahead, "layers": "2048,1024,1024,512,512,512,256,128,64"})
    model = network(config)
    assert sum(p.numel() for p in model.parameters()) == count
    assert set(model.state_dict()) == {
        "drift_param",
        *(f"net.{2 * i}.{part}" for i in range(10) for part in ("weight", "bias")),
    }


def test_features_of_given_numbers() -> None:
    recorded = load("collatz_features")
    found = of_numbers(integers(recorded["features/n"]), 100)
    np.testing.assert_allclose(found, recorded["features/full_L100"], atol=4e-7)


@pytest.mark.parametrize("number", [0, -1, -27, 2, 54])
def test_numbers_that_are_no_node_are_refused(number: int) -> None:
    with pytest.raises(ValueError, match=rf"^numbers: must be odd and at least 1 \(got {number}\)$"):
        of_numbers([27, number], 100)
