"""A call on the side leaves nothing behind."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from leadline.training.guards.aside import aside


class Remembering(nn.Module):
    """Dropout, batch norm, a frozen part, a count in a buffer that every call raises, and a carry from call to call."""

    count: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5))
        self.frozen = nn.BatchNorm1d(4)
        self.register_buffer("count", torch.zeros(()))
        self.register_buffer("latest", None)
        self.carry: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.frozen(self.body(x))
        self.count = self.count + 1
        self.carry, self.latest = y.detach(), y.detach()
        return y


def net() -> Remembering:
    torch.manual_seed(0)
    made = Remembering().train()
    made.frozen.eval()
    return made


@pytest.mark.parametrize("training", [False, True])
def test_modes_buffers_attributes_and_generator_are_put_back(training: bool) -> None:
    model, x = net(), torch.randn(8, 3, generator=torch.Generator().manual_seed(1))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    modes, generator = [module.training for module in model.modules()], torch.get_rng_state()
    with aside(model, training=training), torch.no_grad():
        assert model.training is training
        outputs = [model(x) for _ in range(2)]
        assert int(model.count) == 2
        model.count.add_(1)
    assert torch.equal(*outputs) is not training, "or this test shows nothing"
    assert [module.training for module in model.modules()] == modes
    assert torch.equal(torch.get_rng_state(), generator)
    assert model.carry is None
    assert model.state_dict().keys() == before.keys()
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name]), name


def test_what_is_changed_in_place_is_put_back() -> None:
    model = net()
    with aside(model, training=False):
        model.count.add_(5)
    assert int(model.count) == 0


def test_it_is_put_back_where_the_call_raises() -> None:
    model = net()
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"), aside(model, training=False):
        model(torch.ones(2, 7))
    assert [model.training, model.frozen.training, model.body.training] == [True, False, True]


def test_a_graph_that_is_alive_stays_valid() -> None:
    model, x = net(), torch.randn(8, 3, generator=torch.Generator().manual_seed(1))
    loss = (model(x) * model.frozen.running_var).square().sum()
    with aside(model, training=False):
        model(x)
    loss.backward()
    assert all(parameter.grad is not None for parameter in model.body[0].parameters())
