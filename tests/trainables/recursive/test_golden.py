"""HRM and TRM agree with the reference implementations call by call: see tests/golden/README.md."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from leadline.config import ConfigError
from tests.trainables.recursive.recorded import ACT, TRAJECTORIES, Recorded
from trainables.recursive import act
from trainables.recursive.config import HRMConfig, TRMConfig
from trainables.recursive.model import Rollout, Shape, network, puzzle_parameters
from trainables.recursive.optim import SignSGD
from trainables.recursive.reference import load_reference, our_name
from trainables.recursive.rollout import Judged, judge, terms

FIELDS = {"inputs": "inputs", "labels": "labels", "puzzles": "puzzle_identifiers"}
TRAINED = [name for name in ACT if name.endswith("train")]


def calls(recorded: Recorded) -> Iterator[tuple[int, act.Carry, Rollout]]:
    """Every call: its number, the carry after it, and what was said."""
    training, model = recorded.meta["mode"] == "train", recorded.model
    carry = act.fresh(model, recorded.told["batch_size"])
    for call in range(recorded.meta["n_calls"]):
        inputs, labels, puzzles = (recorded[f"batch/{name}"][call] for name in FIELDS.values())
        carry = act.begin(carry, inputs, labels, puzzles, *model.start(len(inputs)))
        ahead = training and model.learns_to_continue
        said = model(carry.inputs, carry.puzzles, carry.z_h, carry.z_l, ahead=ahead)
        carry = act.advance(carry, said, model, training=training)
        yield call, carry, said


def near(found: Tensor, expected: Tensor, atol: float) -> None:
    torch.testing.assert_close(found.detach(), expected, atol=atol, rtol=0, check_dtype=False)


def same_gradients(recorded: Recorded, expected: dict[str, Tensor]) -> None:
    """By relative L2 norm; those that are zero by structure are not compared."""
    parameters = dict(recorded.model.named_parameters())
    compared = 0
    for name, gradient in expected.items():
        found = parameters[name].grad
        assert found is not None, name
        if gradient.norm() > 1e-4:
            assert float((found.to_dense() - gradient).norm() / gradient.norm()) < recorded.rtol, name
            compared += 1
    assert compared >= 3


@pytest.mark.parametrize("name", ACT)
def test_every_call(name: str) -> None:
    """Logits, Q values and latent states within rounding; halting, steps and the boards worked on exactly."""
    recorded = Recorded(name)
    atol = recorded.atol
    for call, carry, said in calls(recorded):
        near(said.logits[0], recorded["out/logits"][call], atol["logits"])
        near(said.q_halt[0], recorded["out/q_halt_logits"][call], atol["q_halt"])
        near(said.q_continue[0], recorded["out/q_continue_logits"][call], atol["q_cont"])
        near(carry.z_h, recorded["carry/z_H"][call], atol["z_H"])
        near(carry.z_l, recorded["carry/z_L"][call], atol["z_L"])
        assert torch.equal(carry.halted, recorded["carry/halted"][call])
        assert torch.equal(carry.steps, recorded["carry/steps"][call])
        for ours, theirs in FIELDS.items():
            assert torch.equal(getattr(carry, ours), recorded[f"carry/{theirs}"][call])


def sums(found: Judged) -> dict[str, Tensor]:
    """The losses as the references have them: summed over slots."""
    terms = {"lm_loss": found.cross_entropy, "q_halt_loss": found.halting, "q_continue_loss": found.continuing}
    return {name: term.double().sum() for name, term in terms.items() if term is not None}


@pytest.mark.parametrize("name", TRAINED)
def test_losses_and_gradients(name: str) -> None:
    """Of every call, from the carry's labels; gradients of the weighted sum over the batch size."""
    recorded = Recorded(name)
    for call, carry, said in calls(recorded):
        found = judge(recorded.config, said, carry.labels, carry.steps[None])
        for term, value in sums(found).items():
            near(value, recorded[f"loss/{term}"][call], recorded.atol["logits"] * recorded.told["batch_size"])
        total = torch.stack(list(terms(found, torch.ones_like(said.q_halt, dtype=torch.bool)).values())).sum()
        near(
            total * recorded.told["batch_size"],
            recorded["loss/total"][call],
            recorded.atol["logits"] * recorded.told["batch_size"],
        )
        recorded.model.zero_grad()
        torch.autograd.backward(total)
        parameters = dict(recorded.model.named_parameters())
        for theirs, norm in zip(
            recorded.arrays["gradnorm/names"], recorded.arrays["gradnorm/values"][call], strict=True
        ):
            if norm > 1e-4 and "puzzle_emb" not in str(theirs):
                gradient = parameters[our_name(str(theirs))].grad
                assert gradient is not None
                assert float(gradient.double().norm()) == pytest.approx(norm, rel=recorded.rtol), theirs
        if call < 2:
            same_gradients(
                recorded,
                {ours: grad for ours, grad in recorded.gradients(f"grad/call{call}/").items() if "puzzle" not in ours},
            )


@pytest.mark.parametrize("name", TRAINED)
def test_metrics_of_halted_slots(name: str) -> None:
    """Sums over slots that halted at the call and have a label at all."""
    recorded = Recorded(name)
    for call, carry, said in calls(recorded):
        found = judge(recorded.config, said, carry.labels, carry.steps[None])
        counted = carry.halted & (carry.labels != -100).any(1)
        right = (said.q_halt[0] >= 0) == found.exact[0]
        assert int(counted.sum()) == int(recorded["metrics/count"][call])
        assert float((found.accuracy[0].double() * counted).sum()) == pytest.approx(
            float(recorded["metrics/accuracy"][call]), abs=1e-6
        )
        assert int((found.exact[0] & counted).sum()) == int(recorded["metrics/exact_accuracy"][call])
        assert int((right & counted).sum()) == int(recorded["metrics/q_halt_accuracy"][call])
        assert int((carry.steps * counted).sum()) == int(recorded["metrics/steps"][call])


@pytest.mark.parametrize("name", [name for name in TRAINED if "signsgd/weights_after_call0" in Recorded(name)])
def test_puzzle_embedding(name: str) -> None:
    """Gradients by slot add up where two slots have one puzzle; one step of sign-SGD; puzzles that
    were not in the batch stay.
    """
    recorded = Recorded(name)
    _, carry, said = next(calls(recorded))
    found = judge(recorded.config, said, carry.labels, carry.steps[None])
    torch.autograd.backward(sum(terms(found, torch.ones_like(said.q_halt, dtype=torch.bool)).values()))  # type: ignore[arg-type]
    table = recorded.model.get_parameter("puzzle.weight")
    expected = torch.zeros_like(table).index_add(
        0, carry.puzzles, recorded["grad/call0/inner.puzzle_emb.local_weights"]
    )
    assert table.grad is not None
    assert float((table.grad.to_dense() - expected).norm() / expected.norm()) < recorded.rtol
    SignSGD([table], lr=recorded.meta["signsgd"]["lr"], weight_decay=recorded.meta["signsgd"]["weight_decay"]).step()
    near(table, recorded["signsgd/weights_after_call0"], 1e-7)


@pytest.mark.parametrize("name", TRAJECTORIES)
@pytest.mark.parametrize("parts", [1, 4])
def test_trajectories(name: str, parts: int) -> None:
    """K perturbed rollouts of a fixed length, at once and one after another: what is said, losses, gradients."""
    recorded = Recorded(name)
    model, count, segments = recorded.model, recorded.meta["K"], recorded.meta["segments"]
    inputs, labels = (recorded[f"batch/{name}"].repeat(count, 1) for name in ("inputs", "labels"))
    puzzles = recorded["batch/puzzle_identifiers"].repeat(count)
    z_h, z_l = model.start(len(inputs))
    noise = [recorded[f"noise/{state}"].flatten(0, 1) for state in ("z_H", "z_L")]
    said = model(inputs, puzzles, z_h + noise[0], z_l + noise[1], segments, parts=parts)
    atol = recorded.atol["logits"]
    near(said.logits, recorded["out/logits"].flatten(1, 2), atol)
    near(said.q_halt, recorded["out/q_halt_logits"].flatten(1, 2), atol)
    steps = torch.arange(1, segments + 1)[:, None]
    found = judge(recorded.config, said, labels, steps)
    near(found.cross_entropy, recorded["loss/ce_per_trajectory"].flatten(1, 2), atol)
    near(found.halting, recorded["loss/q_halt_bce_per_trajectory"].flatten(1, 2), atol)
    mean = terms(found, torch.ones_like(said.q_halt, dtype=torch.bool))["lm"]
    near(mean, recorded["loss/mean"], atol)
    torch.autograd.backward(mean)
    same_gradients(recorded, recorded.gradients("grad/"))


def test_parameter_counts() -> None:
    """Those that are published, at the published settings."""
    boards: dict[str, Any] = {"size": 9, "hidden": 512, "heads": 8, "positions": "rope", "puzzle_emb": 512}
    hrm = HRMConfig(**boards, h_layers=4, l_layers=4)
    attention = TRMConfig(**boards, l_layers=2, puzzle_tokens=16)
    mixer = TRMConfig(**{**boards, "positions": "none"}, l_layers=2, puzzle_tokens=16, mlp_t=True)
    # As HRM and TRM count them: without the puzzle embedding.
    counts = [
        sum(tensor.numel() for tensor in puzzle_parameters(network(config))[1]) for config in (hrm, attention, mixer)
    ]
    assert counts == [27_275_266, 6_828_034, 5_028_866]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"inner.extra": torch.zeros(1)}, "start: extra is no part of this architecture"),
        (
            {"inner.lm_head.weight": torch.zeros(3, 3)},
            "start: head.weight has shape [3, 3]; this architecture needs [7, 32]",
        ),
    ],
)
def test_refuses_another_architecture(change: dict[str, Tensor], said: str) -> None:
    recorded = Recorded("trm_att_rope_train")
    state = {key[2:]: recorded[key] for key in recorded.arrays if key.startswith("w/")}
    with pytest.raises(ConfigError) as refused:
        load_reference(recorded.model, {**state, **change})
    assert str(refused.value) == said


def test_names_of_compiled_models() -> None:
    """torch.compile and the loss head put their names before the model's."""
    state = {
        f"_orig_mod.model.{key[2:]}": value
        for key, value in Recorded("traj_hrm").arrays.items()
        if key.startswith("w/")
    }
    other = network(Recorded("traj_hrm").config, Shape(10, 7))
    load_reference(other, {key: torch.from_numpy(value) for key, value in state.items()})
    assert torch.equal(other.h_init, Recorded("traj_hrm").model.h_init)
