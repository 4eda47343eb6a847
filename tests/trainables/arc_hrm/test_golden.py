"""The network agrees with the log's, number by number: see tests/golden/README.md."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from leadline.config import ConfigError
from tests.trainables.arc_hrm.recorded import ATOL, NAMES, Recorded
from trainables.arc_hrm.losses import terms
from trainables.arc_hrm.model import POSITIONS, ArcHRM
from trainables.arc_hrm.reference import load_reference
from trainables.sinusoids import sinusoids


def near(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found.detach(), expected, atol=ATOL, rtol=0, check_dtype=False)


@pytest.mark.parametrize("gradients", [True, False], ids=["with gradients", "without"])
@pytest.mark.parametrize("name", NAMES)
def test_outputs(name: str, gradients: bool) -> None:
    """Logits and probabilities of halting within 1e-5, and the number of cycles exactly.

    Without gradients torch takes other kernels for an encoder layer in evaluation mode.
    """
    recorded = Recorded(name)
    with torch.set_grad_enabled(gradients):
        said = recorded.model(recorded["inputs"])
    assert len(said.halt) == recorded.meta["cycles_run"]
    assert said.cycles.tolist() == [recorded.meta["cycles_run"]] * len(recorded["inputs"])
    near(said.logits, recorded["out/logits"])
    near(said.halt, recorded["out/halt_probs"])


@pytest.mark.parametrize("smoothing", [0.1, 0.0])
@pytest.mark.parametrize("name", NAMES)
def test_losses_and_gradients(name: str, smoothing: float) -> None:
    """Over all cells, PAD among them; gradients are recorded of smoothed labels."""
    recorded = Recorded(name)
    labels = recorded["labels"]
    weight = torch.full((len(labels),), 1 / labels.shape[1])
    found = terms(recorded.model(recorded["inputs"]), labels, weight, smoothing, recorded.config.halt_penalty)
    label = f"ls{smoothing:g}"
    near(found["cross_entropy"], recorded[f"loss/task_{label}"])
    near(found["halting"], recorded.config.halt_penalty * recorded["loss/halt"])
    total = torch.stack(list(found.values())).sum()
    near(total, recorded[f"loss/total_{label}"])
    if not smoothing:
        return
    torch.autograd.backward(total)
    compared = [key.partition("/")[2] for key in recorded.arrays if key.startswith("grad_ls0.1/")]
    assert len(compared) == 4
    for part in compared:
        gradient = recorded.model.get_parameter(part).grad
        assert gradient is not None
        near(gradient, recorded[f"grad_ls0.1/{part}"])


@pytest.mark.parametrize("name", NAMES)
def test_positions_and_counts(name: str) -> None:
    recorded = Recorded(name)
    first = recorded["pe_first_rows"]
    assert torch.equal(recorded.model.places[: len(first)], first)
    assert sum(tensor.numel() for tensor in recorded.model.parameters()) == recorded.meta["trainable_params"]
    assert recorded.model.places.numel() == recorded.meta["buffer_elements"]


def test_one_row_stops_by_itself_as_if_it_were_alone() -> None:
    """One threshold between the rows' probabilities: some stop early, others do not."""
    recorded = Recorded("dpweb_full_cycles")
    config = recorded.config
    model = ArcHRM(type(config)(**{**vars(config), "halt_threshold": 0.72}), recorded.vocabulary)
    model.load_state_dict(recorded.model.state_dict())
    model.eval()
    inputs = recorded["inputs"]
    together, each = model(inputs), model(inputs, each=True)
    assert together.cycles.tolist() == [4, 4, 4], "their mean stays below it"
    assert each.cycles.tolist() == [4, 3, 2]
    for row, alone in enumerate(model(inputs[i : i + 1]) for i in range(3)):
        assert alone.cycles[0] == each.cycles[row]
        near(each.logits[row], alone.logits[0].detach())
        near(each.last_halt[row], alone.halt[-1, 0].detach())


@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.module."])
def test_state_dicts_of_wrapped_networks_with_their_table(prefix: str) -> None:
    recorded = Recorded("dpweb_early_stop")
    state = {prefix + name: tensor for name, tensor in recorded.weights.items()}
    state[f"{prefix}positions.table"] = sinusoids(POSITIONS, recorded.config.hidden)[None]
    other = ArcHRM(recorded.config, recorded.vocabulary)
    load_reference(other, state)
    for name, tensor in recorded.model.state_dict().items():
        assert torch.equal(other.state_dict()[name], tensor), name


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"extra": torch.zeros(1)}, "start: extra is no part of this architecture"),
        ({"table": torch.zeros(POSITIONS, 32)}, "start: table is no part of this architecture"),
        ({"output.bias": torch.zeros(3)}, "start: output.bias has shape [3]; this architecture needs [12]"),
    ],
)
def test_refuses_another_architecture(change: dict[str, Tensor], said: str) -> None:
    recorded = Recorded("dpweb_early_stop")
    with pytest.raises(ConfigError) as refused:
        load_reference(recorded.model, {**recorded.weights, **change})
    assert str(refused.value) == said


def test_refuses_what_is_missing() -> None:
    recorded = Recorded("dpweb_early_stop")
    state = recorded.weights
    del state["h_norm.weight"]
    with pytest.raises(ConfigError) as refused:
        load_reference(recorded.model, state)
    assert str(refused.value) == "start: h_norm.weight is missing"
