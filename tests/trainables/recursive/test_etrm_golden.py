"""ETRM agrees with its reference call by call, and the cached version starves: see tests/golden/README.md."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from tests.trainables.recursive.permuted import PermutedConfig
from tests.trainables.recursive.recorded import CACHED, ENCODED, Recorded
from tests.trainables.recursive.test_golden import FIELDS, near, same_gradients, sums
from trainables.recursive import act
from trainables.recursive.encoder import Encoded
from trainables.recursive.model import ETRM, Rollout, Shape, network
from trainables.recursive.reference import our_name
from trainables.recursive.rollout import judge, terms


def calls(recorded: Recorded) -> Iterator[tuple[int, act.Carry, Rollout, Tensor]]:
    """Every call: its number, the carry after it, what was said, and the slots that took another board."""
    training, model = recorded.meta["mode"] == "train", recorded.model
    carry = act.fresh(model, recorded.told["batch_size"])
    for call in range(recorded.meta["n_calls"]):
        inputs, labels, puzzles = (recorded[f"batch/{name}"][call] for name in FIELDS.values())
        demonstrations = {name: recorded[f"batch/{name}"][call] for name in model.shown}
        fresh = carry.halted
        carry = act.begin(carry, inputs, labels, puzzles, *model.start(len(inputs)), **demonstrations)
        told = {"fresh": fresh} if "context" in carry.shown else {}
        said = model(carry.inputs, carry.puzzles, carry.z_h, carry.z_l, **carry.shown, **told)
        carry = act.advance(carry, said, model, training=training)
        yield call, carry, said, fresh


def backward(recorded: Recorded, said: Rollout, labels: Tensor, steps: Tensor) -> tuple[Tensor, Encoded]:
    """The total loss, and the one encoding, whose context keeps its gradient."""
    found = judge(recorded.config, said, labels, steps[None])
    total = torch.stack(list(terms(found, torch.ones_like(said.q_halt, dtype=torch.bool)).values())).sum()
    (encoded,) = said.encoded
    encoded.context.retain_grad()
    recorded.model.zero_grad()
    torch.autograd.backward(total)
    return total, encoded


def encoder_norm(model: ETRM) -> float:
    """The L2 norm of the gradient of the encoder's parameters."""
    return float(
        torch.cat([p.grad.flatten() for p in model.encoder.parameters() if p.grad is not None]).double().norm()
    )


@pytest.mark.parametrize("name", [*ENCODED, CACHED])
def test_every_call(name: str) -> None:
    """Context, logits, Q values and latent states within rounding; halting, steps and what is carried exactly."""
    recorded = Recorded(name)
    atol = Recorded(ENCODED[0]).atol if name == CACHED else recorded.atol
    for call, carry, said, _ in calls(recorded):
        near(said.logits[0], recorded["out/logits"][call], atol["logits"])
        near(said.q_halt[0], recorded["out/q_halt_logits"][call], atol["q_halt"])
        if name != CACHED:
            assert said.context is not None
            near(said.context, recorded["out/context"][call], 2e-5)
            near(carry.z_h, recorded["carry/z_H"][call], atol["z_H"])
            near(carry.z_l, recorded["carry/z_L"][call], atol["z_L"])
        assert torch.equal(carry.halted, recorded["carry/halted"][call])
        assert torch.equal(carry.steps, recorded["carry/steps"][call])
        for ours, theirs in FIELDS.items():
            assert torch.equal(getattr(carry, ours), recorded[f"carry/{theirs}"][call])
        for shown in recorded.model.shown:
            assert torch.equal(carry.shown[shown], recorded[f"carry/{shown}"][call])


def test_losses_metrics_and_gradients() -> None:
    """Of every call, with what reaches the encoder; metrics are sums over all slots with a label."""
    recorded = Recorded(ENCODED[0])
    atol, rtol = recorded.atol["logits"], max(1e-3, recorded.rtol)
    model = recorded.model
    assert isinstance(model, ETRM)
    for call, carry, said, _ in calls(recorded):
        found = judge(recorded.config, said, carry.labels, carry.steps[None])
        for term, value in sums(found).items():
            near(value, recorded[f"loss/{term}"][call], atol)
        counted = (carry.labels != -100).any(1)
        right = (said.q_halt[0] >= 0) == found.exact[0]
        measured = (counted, found.accuracy[0], found.exact[0], right, carry.steps)
        names = ("count", "accuracy", "exact_accuracy", "q_halt_accuracy", "steps")
        for metric, values in zip(names, measured, strict=True):
            total = float((values.double() * counted).sum())
            assert total == pytest.approx(float(recorded[f"metrics/{metric}"][call]), abs=1e-6), metric
        loss, encoded = backward(recorded, said, carry.labels, carry.steps)
        near(loss * recorded.told["batch_size"], recorded["loss/total"][call], atol)
        assert encoded.context.grad is not None
        norms = encoded.context.grad.flatten(1).norm(dim=1)
        torch.testing.assert_close(norms, recorded["diag/context_grad_norm"][call], rtol=rtol, atol=0)
        assert encoder_norm(model) == pytest.approx(float(recorded["diag/encoder_grad_norm"][call]), rel=rtol)
        parameters = dict(model.named_parameters())
        for theirs, norm in zip(
            recorded.arrays["gradnorm/names"], recorded.arrays["gradnorm/values"][call], strict=True
        ):
            gradient = parameters[our_name(str(theirs))].grad
            assert gradient is not None
            if norm > 1e-4:
                assert float(gradient.double().norm()) == pytest.approx(norm, rel=rtol), theirs
        if call < 2:
            same_gradients(recorded, recorded.gradients(f"grad/call{call}/"))


def test_the_cached_encoder_starves() -> None:
    """No gradient at all on calls without a new board, none ever from slots that go on; as recorded."""
    recorded = Recorded(CACHED)
    model = recorded.model
    assert isinstance(model, ETRM)
    reached = []
    for call, carry, said, fresh in calls(recorded):
        assert torch.equal(fresh, recorded["diag/reset_slots"][call])
        _, encoded = backward(recorded, said, carry.labels, carry.steps)
        assert torch.equal(encoded.rows, fresh.nonzero()[:, 0])
        norms = torch.zeros(len(fresh))
        if fresh.any():
            assert encoded.context.grad is not None
            norms[encoded.rows] = encoded.context.grad.flatten(1).norm(dim=1)
        expected = recorded["diag/context_grad_norm"][call]
        assert torch.equal(norms > 0, expected > 0)
        assert (encoder_norm(model) == 0.0) == (float(recorded["diag/encoder_grad_norm"][call]) == 0.0)
        if fresh.all():
            torch.testing.assert_close(norms, expected, rtol=2e-3, atol=0)
        reached.append(norms > 0)
    covered = torch.stack(reached).double()
    assert float(covered.mean()) == recorded.meta["gradient_coverage_slots"]
    assert float(covered.amax(1).mean()) == recorded.meta["gradient_coverage_calls"]


def test_parameter_counts() -> None:
    """As published, at the published size: 30 x 30 cells, 12 tokens."""
    config = PermutedConfig(
        hidden=512, heads=8, positions="rope", l_layers=2, h_cycles=3, l_cycles=4, halt_max_steps=16, batch=256
    )
    with torch.device("meta"):
        net = network(config, Shape(900, 12))
    assert isinstance(net, ETRM)
    encoder = sum(tensor.numel() for tensor in net.encoder.parameters())
    total = sum(tensor.numel() for tensor in net.parameters())
    assert (encoder, total - encoder, total) == (10_506_240, 6_829_058, 17_335_298)
