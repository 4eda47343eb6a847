"""Numbers recorded from the log's own code: see tests/golden/README.md."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from trainables.collatz import losses
from trainables.collatz.config import CollatzConfig
from trainables.collatz.features import I64, MAX_LOOKAHEAD, REACH, Mode, Nodes, drift, features, nodes_of, of_numbers, pair, table, window
from trainables.collatz.metrics import population
from trainables.collatz.model import LyapunovNet, network
from trainables.collatz.orbits import from_limbs, natural_log, steps_to_one, to_limbs, trace
from trainables.collatz.split import HARD_SEEDS, LOGGED_SEEDS, TRAIN_SEEDS
from trainables.config import make

GOLDEN = Path(__file__).parents[1] / "golden"
NETS = ("collatz_net_0_full_L10", "collatz_net_1_k_only_L20", "collatz_net_2_k_shifted_L100")
MODES: tuple[Mode, ...] = ("full", "k_only", "k_shifted", "k_only_shifted")

Arrays = dict[str, npt.NDArray[Any]]


def load(name: str) -> Arrays:
    with np.load(GOLDEN / f"{name}.npz", allow_pickle=False) as file:
        return dict(file)


def integers(strings: npt.NDArray[Any]) -> list[int]:
    return [int(s) for s in strings]


def nine_nodes(numbers: list[int]) -> tuple[Nodes, I64]:
    run = trace(to_limbs(numbers), REACH + MAX_LOOKAHEAD, REACH + 1)
    return nodes_of([table(run.k, run.numbers)]), np.arange(len(numbers)) * (REACH + 1)


@pytest.mark.parametrize("lookahead", [10, 20, 100])
def test_features(lookahead: int) -> None:
    golden = load("collatz_features")
    nodes, index = nine_nodes(integers(golden["features/n"]))
    assert (window(nodes, index, lookahead) == golden[f"features/k_raw_L{lookahead}"]).all()
    np.testing.assert_allclose(drift(nodes, index, lookahead), golden[f"features/drift_L{lookahead}"], atol=1e-12)
    for mode in MODES:
        np.testing.assert_allclose(features(nodes, index, lookahead, mode), golden[f"features/{mode}_L{lookahead}"], atol=4e-7)
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
    for j, name in ((0, "n"), (1, "t1"), (4, "t4"), (8, "t8")):
        np.testing.assert_allclose(net.v(j).detach(), net.golden[f"out/V_{name}"][:, 0], atol=2e-5)
    assert sum(p.numel() for p in net.model.parameters()) == net.meta["params"]


def test_losses(net: Net) -> None:
    np.testing.assert_allclose(net.target(0.35), net.golden["batch/target_fixed"][:, 0], rtol=1e-6, atol=1e-5)
    for name, value in zip(net.golden["loss/names"], net.golden["loss/values"], strict=True):
        terms, _, anchor = str(name).partition("|anchor=")
        assert float(net.loss(terms.split("+"), float(anchor), net.target(0.35)).detach()) == pytest.approx(value, rel=1e-5)


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
    assert float(net.loss(["T1"], 1.0, split).detach()) == pytest.approx(float(net.golden["loss/adaptive_split_T1_anchor1"]), rel=1e-5)


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
        assert float(margins.min()) == pytest.approx(golden["traj/worst_margin"][i], abs=1e-4)


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


def test_first_images_of_the_evaluation_set() -> None:
    head = load("b_collatz_evalset")
    run = trace(to_limbs(integers(head["head/n"])), 1, 2)
    assert from_limbs(run.numbers[1]) == integers(head["head/t1"])


def test_seeds_and_orbits() -> None:
    golden = load("b_collatz_curriculum")
    assert golden["hard_seeds"].tolist() == list(HARD_SEEDS)
    assert golden["test_seeds"].tolist() == list(LOGGED_SEEDS)
    assert golden["train_seeds"].tolist() == list(TRAIN_SEEDS)
    steps = steps_to_one(to_limbs(LOGGED_SEEDS))
    assert steps.tolist() == load("collatz_schedule_csv")["seeds/steps"].tolist()
    run = trace(to_limbs(LOGGED_SEEDS), int(steps.max()), int(steps.max()) + 1)
    for i, seed in enumerate(LOGGED_SEEDS):
        orbit = run.numbers[: steps[i] + 1, :, i].T
        assert from_limbs(orbit) == integers(golden[f"traj/{seed}"])
        assert max(from_limbs(orbit)) == int(golden["test/odd_max"][i])
        assert int((np.diff(natural_log(orbit)) > 0).sum()) == golden["test/growth_steps"][i]


def test_active_seeds() -> None:
    golden = load("b_collatz_curriculum")
    columns = (golden[name].tolist() for name in ("epoch", "ramp_len", "start_seeds", "active_count", "last_active_seed"))
    for epoch, ramp, start, count, last in zip(*columns, strict=True):
        found = losses.active_seeds(epoch, ramp, start, len(TRAIN_SEEDS))
        assert found == count
        assert last == (TRAIN_SEEDS[found - 1] if found else -1)
    for epoch, ramp, start, count in load("collatz_schedule_csv")["active/epoch_ramp_start_count"].tolist():
        assert losses.active_seeds(epoch, ramp, start, len(TRAIN_SEEDS)) == count


def test_anchor_weights() -> None:
    golden = load("b_collatz_curriculum")
    for (start, length, minimum), weights in zip(golden["anchor/config"].tolist(), golden["anchor/weight"], strict=True):
        found = [losses.anchor_weight(epoch, start, length, minimum) for epoch in golden["anchor/epoch"].tolist()]
        np.testing.assert_allclose(found, weights, rtol=1e-12)
    for start, length, minimum, epoch, weight in load("collatz_schedule_csv")["anchor/start_len_min_epoch_weight"].tolist():
        assert losses.anchor_weight(epoch, start, length, minimum) == pytest.approx(weight, rel=1e-12)


@pytest.mark.parametrize(("lookahead", "count"), [(10, 4_405_250), (20, 4_425_730), (100, 4_589_570)])
def test_parameter_counts_of_the_log(lookahead: int, count: int) -> None:
    config = make(CollatzConfig, {"lookahead": lookahead, "layers": "2048,1024,1024,512,512,512,256,128,64"})
    model = network(config)
    assert sum(p.numel() for p in model.parameters()) == count
    assert set(model.state_dict()) == {"drift_param", *(f"net.{2 * i}.{part}" for i in range(10) for part in ("weight", "bias"))}


def test_features_of_given_numbers() -> None:
    recorded = load("collatz_features")
    found = of_numbers(integers(recorded["features/n"]), 100)
    np.testing.assert_allclose(found, recorded["features/full_L100"], atol=4e-7)
