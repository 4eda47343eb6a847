"""Optimizers, averages and learning rates against recorded numbers, see tests/golden/README.md."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor, nn

from leadline.config import make
from trainables.recursive.config import TRMConfig
from trainables.recursive.optim import BLOCK, EMA, AdamATan2, SignSGD, rate, schedule

GOLDEN = Path(__file__).parents[2] / "golden"


def load(name: str) -> dict[str, npt.NDArray[Any]]:
    with np.load(GOLDEN / f"{name}.npz", allow_pickle=False) as file:
        return dict(file)


def leaf(values: npt.NDArray[Any], dtype: torch.dtype = torch.float32) -> nn.Parameter:
    return nn.Parameter(torch.tensor(values, dtype=dtype))


@pytest.mark.parametrize(("precision", "dtype", "atol"), [("f64", torch.float64, 1e-14), ("f32", torch.float32, 1e-7)])
@pytest.mark.parametrize("index", range(4))
def test_adam_atan2(index: int, precision: str, dtype: torch.dtype, atol: float) -> None:
    golden = load("adam_atan2")
    meta = json.loads(str(golden["meta"]))["sets"][index]
    parameter = leaf(golden[f"s{index}/param0"], dtype)
    optimizer = AdamATan2([parameter], lr=0.0, betas=tuple(meta["betas"]), weight_decay=meta["weight_decay"])
    for step, (gradient, lr) in enumerate(zip(golden[f"s{index}/grads"], golden[f"s{index}/lr"], strict=True)):
        parameter.grad = torch.tensor(gradient, dtype=dtype)
        optimizer.param_groups[0]["lr"] = float(lr)
        optimizer.step()
        found = {"param": parameter.detach(), **optimizer.state[parameter]}
        for name in ("param", "exp_avg", "exp_avg_sq"):
            np.testing.assert_allclose(found[name], golden[f"s{index}/{precision}/{name}"][step], rtol=0, atol=atol)
    assert float(optimizer.state[parameter]["step"]) == 5


def test_adam_atan2_of_large_parameters() -> None:
    """In blocks, and where a layout forbids them as a whole, with the same numbers."""
    values = torch.randn(BLOCK // 64 + 5, 128, generator=torch.Generator().manual_seed(0))
    whole, turned = nn.Parameter(values.clone()), nn.Parameter(values.T.contiguous().T)
    small = [nn.Parameter(row.clone()) for row in values]
    assert whole.numel() > BLOCK
    assert not turned.is_contiguous()
    optimizers = [AdamATan2(parameters, lr=0.1, weight_decay=0.5) for parameters in ([whole], [turned], small)]
    for _ in range(3):
        gradient = values.cos() * 1e-3
        whole.grad, turned.grad = gradient, gradient.clone()
        for parameter, row in zip(small, gradient, strict=True):
            parameter.grad = row
        for optimizer in optimizers:
            optimizer.step()
    for found in (turned.detach(), torch.stack([parameter.detach() for parameter in small])):
        torch.testing.assert_close(whole.detach(), found, rtol=0, atol=1e-7)
    assert float((whole.detach() - values).abs().min()) > 0


def test_adam_atan2_goes_on_from_its_state() -> None:
    golden = load("adam_atan2")
    first, second = leaf(golden["s0/param0"]), leaf(golden["s0/param0"])
    one, other = AdamATan2([first], lr=1e-3, weight_decay=0.1), AdamATan2([second], lr=1.0)
    for step, gradient in enumerate(golden["s0/grads"]):
        if step == 2:
            file = io.BytesIO()
            torch.save(one.state_dict(), file)
            file.seek(0)
            other.load_state_dict(torch.load(file, weights_only=True))
            second.data.copy_(first.data)
        for parameter, optimizer in ((first, one), (second, other)):
            parameter.grad = torch.tensor(gradient)
            optimizer.step()
    assert torch.equal(first, second)
    assert set(other.state[second]) == {"step", "exp_avg", "exp_avg_sq"}


def test_a_parameter_without_a_gradient_stays() -> None:
    parameters = [leaf(np.ones(3)), leaf(np.ones(3))]
    parameters[0].grad = torch.ones(3)
    optimizer = AdamATan2(parameters, lr=0.1, weight_decay=0.1)
    assert optimizer.step(lambda: 2.5) == 2.5
    assert float(parameters[0][0].detach()) < 0.95
    assert torch.equal(parameters[1].detach(), torch.ones(3))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"lr": -1.0}, "lr"),
        ({"lr": 1.0, "weight_decay": -1.0}, "weight_decay"),
        ({"lr": 1.0, "betas": (0.9, 1.0)}, "betas"),
    ],
)
def test_optimizers_refuse(values: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=f"^{said}: "):
        AdamATan2([leaf(np.ones(1))], **values)


class Looked:
    """An embedding table, whose rows are looked up with given gradients."""

    def __init__(self, weights: npt.NDArray[Any], lr: float, weight_decay: float) -> None:
        self.table = nn.Embedding(len(weights), weights.shape[1], sparse=True)
        self.table.weight.data = torch.tensor(weights)
        self.optimizer = SignSGD(self.table.parameters(), lr=lr, weight_decay=weight_decay)

    def look(self, ids: npt.NDArray[Any], gradients: npt.NDArray[Any]) -> None:
        self.table(torch.tensor(ids)).backward(torch.tensor(gradients))

    def step(self) -> Tensor:
        self.optimizer.step()
        self.optimizer.zero_grad()
        weight: Tensor = self.table.weight.detach()
        return weight.clone()


@pytest.mark.parametrize("parts", [1, 2, 4])
def test_sign_sgd(parts: int) -> None:
    """In micro-batches too; rows that were not looked up are the same bit for bit."""
    golden = load("b_signsgd_ema_lr")
    meta = json.loads(str(golden["meta"]))["signsgd"]
    looked, before = Looked(golden["signsgd/weights0"], meta["lr"], meta["weight_decay"]), golden["signsgd/weights0"]
    for ids, gradients, after in zip(
        golden["signsgd/ids"], golden["signsgd/grads"], golden["signsgd/weights"], strict=True
    ):
        for some in np.array_split(np.arange(len(ids)), parts):
            looked.look(ids[some], gradients[some])
        found = looked.step().numpy()
        np.testing.assert_allclose(found, after, rtol=0, atol=1e-7)
        others = np.setdiff1d(np.arange(len(found)), ids)
        assert (found[others] == before[others]).all()
        before = found


@pytest.mark.parametrize("name", ["hrm_puzzle_train", "trm_att_learned_puzzle_train", "trm_mlp_t_train"])
def test_sign_sgd_of_a_recorded_batch(name: str) -> None:
    golden = load(name)
    meta = json.loads(str(golden["meta"]))["signsgd"]
    looked = Looked(golden["w/inner.puzzle_emb.weights"], meta["lr"], meta["weight_decay"])
    looked.look(golden["carry/puzzle_identifiers"][0], golden["grad/call0/inner.puzzle_emb.local_weights"])
    np.testing.assert_allclose(looked.step(), golden["signsgd/weights_after_call0"], rtol=0, atol=1e-7)


def test_each_optimizer_names_the_others_gradients() -> None:
    looked = Looked(np.ones((3, 2), dtype=np.float32), 0.1, 0.0)
    looked.look(np.array([1]), np.ones((1, 2), dtype=np.float32))
    with pytest.raises(RuntimeError, match="SignSGD has"):
        AdamATan2(looked.table.parameters(), lr=0.1).step()
    looked.table.weight.grad = torch.ones(3, 2)
    with pytest.raises(RuntimeError, match="sparse=True"):
        looked.step()


@pytest.mark.parametrize("index", range(2))
def test_ema(index: int) -> None:
    golden = load("b_signsgd_ema_lr")
    values, averages = golden[f"ema/{index}/param"], golden[f"ema/{index}/shadow"]
    module = nn.Module()
    module.weight = leaf(values[0])
    ema = EMA(module, float(golden[f"ema/{index}/mu"]))
    started = 1 if np.array_equal(averages[0], values[0]) else 0
    for value, average in zip(values[started:], averages[started:], strict=True):
        module.weight.data.copy_(torch.from_numpy(value))
        ema.update()
        np.testing.assert_allclose(ema.state_dict()["weight"], average, rtol=0, atol=3e-7)


def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.ModuleDict({"body": nn.Linear(3, 3), "norm": nn.BatchNorm1d(3), "puzzle": nn.Embedding(4, 3)})


def test_ema_lends_its_weights_and_takes_them_back() -> None:
    module = model()
    ema = EMA(module, 0.5, without=("puzzle.",))
    started = {name: parameter.detach().clone() for name, parameter in module.named_parameters()}
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.rand_like(parameter) / 3)
    ema.update()
    held = {name: tensor.clone() for name, tensor in module.state_dict().items()}

    def borrow() -> None:
        with ema.applied():
            for name, parameter in module.named_parameters():
                expected = held[name] if name.startswith("puzzle") else (held[name] + started[name]) / 2
                torch.testing.assert_close(parameter.detach(), expected)
            raise KeyError("something went wrong in the evaluation")

    with pytest.raises(KeyError, match="something"):
        borrow()
    assert all(torch.equal(held[name], tensor) for name, tensor in module.state_dict().items())
    assert sorted(ema.state_dict()) == ["body.bias", "body.weight", "norm.bias", "norm.weight"]


def test_ema_goes_on_from_its_state() -> None:
    module, other = model(), model()
    ema = EMA(module, 0.9)
    with torch.no_grad():
        module.get_parameter("body.weight").zero_()
    ema.update()
    resumed = EMA(other, 0.9)
    resumed.load_state_dict({name: tensor.clone() for name, tensor in ema.state_dict().items()})
    other.load_state_dict(module.state_dict())
    for average in (ema, resumed):
        average.update()
    assert all(torch.equal(tensor, resumed.state_dict()[name]) for name, tensor in ema.state_dict().items())
    with pytest.raises(ValueError, match=r"body\.bias"):
        EMA(other, 0.9, without=("body.bias",)).load_state_dict(ema.state_dict())
    with pytest.raises(ValueError, match=r"^decay: "):
        EMA(other, 1.0)


@pytest.mark.parametrize("index", range(3))
def test_rate(index: int) -> None:
    """Past the end of the budget the recorded cosine comes back up; here it stays."""
    golden = load("b_signsgd_ema_lr")
    base, warmup, total, lr_min = golden["lr/config_base_warmup_total_minratio"][index].tolist()
    compared = 0
    for step, value in zip(golden["lr/step"].tolist(), golden["lr/value"][index].tolist(), strict=True):
        found = base * rate(step, int(total), int(warmup), "cosine", lr_min)
        if step <= total:
            assert found == pytest.approx(value, rel=1e-12, abs=1e-18)
            compared += 1
        else:
            assert found == pytest.approx(base * lr_min)
    assert compared >= 8
    assert (
        rate(int(warmup), int(total), int(warmup), "constant", lr_min)
        == rate(int(total), int(total), int(warmup), "constant", lr_min)
        == 1
    )


@pytest.mark.parametrize(("kind", "last"), [("constant", 1.0), ("cosine", 0.2)])
def test_the_first_step_is_trained_at_the_rate_of_step_1(kind: str, last: float) -> None:
    parameters = [leaf(np.ones(1)), leaf(np.ones(1))]
    optimizer = AdamATan2(parameters[:1], lr=0.5)
    optimizer.add_param_group({"params": parameters[1:], "lr": 0.1})
    values = {"steps": 40, "eval_every": 40, "warmup": 0.1, "schedule": kind, "lr_min": 0.2}
    scheduler = schedule(optimizer, make(TRMConfig, values))
    rates = []
    for _ in range(40):
        rates.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()
        scheduler.step()
    assert np.allclose(rates[:4], np.outer([0.25, 0.5, 0.75, 1.0], [0.5, 0.1]))
    assert np.allclose(rates[39], np.multiply(last, [0.5, 0.1]))
