"""The networks: their sizes by formula and by count, their arithmetic, and what they see."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from trainables.scan.lstm import AttentionLSTM, LoggedLSTM
from trainables.scan.shape import Shape
from trainables.scan.transformer import Transformer, parameter_count

WORDS, RULES, ACTIONS = 17, 12, 10
NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "logged": lambda: LoggedLSTM(WORDS, RULES, ACTIONS, 16),
    "attention": lambda: AttentionLSTM(WORDS, RULES, ACTIONS, 16),
    "transformer": lambda: Transformer(Shape.of(16, layers=2), WORDS, RULES, ACTIONS, 64),
}


def _trained(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


def _rows(rows: int, positions: int = 12, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Random rules, commands with padding at their end, and actions."""
    generator = torch.Generator().manual_seed(seed)
    rules = torch.randint(0, RULES, (rows, 2), generator=generator)
    commands = torch.randint(4, WORDS, (rows, 9), generator=generator)
    words = torch.randint(1, 10, (rows, 1), generator=generator)
    actions = torch.randint(4, ACTIONS, (rows, positions), generator=generator)
    return rules, commands.masked_fill(torch.arange(9) >= words, 0), actions


def _network(name: str) -> Any:
    torch.manual_seed(1)
    return NETWORKS[name]().eval()


def test_the_log_counts_267914_parameters_and_trained_327818() -> None:
    """Keras' formula with one bias: 4 (in + width + 1) width for an LSTM, the path for rules not built when counted."""

    def lstm(width_in: int, width: int) -> int:
        return 4 * (width_in + width + 1) * width

    counted = 17 * 128 + lstm(128, 128) + 10 * 128 + lstm(128, 128) + 129 * 10
    path = 17 * 128 + lstm(128, 64) + 65 * 128
    assert (counted, counted + path) == (267_914, 327_818)
    assert _trained(LoggedLSTM(17, 0, 10)) == counted
    assert _trained(LoggedLSTM(17, 17, 10)) == counted + path


def test_torch_would_train_a_second_bias() -> None:
    """Which is there, zero and frozen, in the log's network alone."""
    model = LoggedLSTM(17, 0, 10)
    assert sum(parameter.numel() for parameter in model.parameters()) == 267_914 + 2 * 4 * 128 == 268_938
    frozen = [parameter for parameter in model.parameters() if not parameter.requires_grad]
    assert [parameter.shape for parameter in frozen] == [(512,), (512,)]
    assert not any(parameter.any() for parameter in frozen)


@pytest.mark.parametrize(("width", "parameters"), [(32, 21_321), (64, 81_545)])
def test_the_lstm_with_attention(width: int, parameters: int) -> None:
    lstm = 2 * (4 * width * 2 * width + 8 * width)
    assert lstm + 23 * width + 9 * (2 * width + 1) + 3 * width * width + width == parameters
    assert _trained(AttentionLSTM(14, 9, 9, width)) == parameters


@pytest.mark.parametrize(("width", "shape"), [(64, (4, 4, 2)), (128, (4, 4, 2)), (136, (6, 8, 4)), (256, (6, 8, 4))])
def test_the_width_decides_the_transformer(width: int, shape: tuple[int, int, int]) -> None:
    """As in the log: `d_ff = 2 d if d <= 128 else 4 d`, 4 heads and layers, else 8 and 6."""
    found = Shape.of(width)
    assert (found.layers, found.heads, found.expansion) == shape
    with torch.device("meta"):
        model = Transformer(found, WORDS, RULES, ACTIONS, 64)
    assert _trained(model) == parameter_count(found, WORDS, RULES, ACTIONS)


def test_the_log_s_50_million_parameters_do_not_follow_from_its_configuration() -> None:
    """An encoder and a decoder of width 256 have 11 million."""
    assert 10e6 < parameter_count(Shape.of(256), 17, 17, 10) < 12e6


def test_the_logged_lstm_is_the_cell_by_hand() -> None:
    """Of Hochreiter and Schmidhuber 1997 with forget gates, one bias; the mean covers 50 positions and the rule."""
    model = LoggedLSTM(WORDS, RULES, ACTIONS, 16).eval()
    rules, commands, actions = _rows(3, 4)

    def cell(lstm: nn.LSTM, given: Tensor, hidden: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        parameters = dict(lstm.named_parameters())
        gates = given @ parameters["weight_ih_l0"].T + hidden @ parameters["weight_hh_l0"].T + parameters["bias_ih_l0"]
        enter, keep, new, leave = gates.chunk(4, -1)
        state = keep.sigmoid() * state + enter.sigmoid() * new.tanh()
        return leave.sigmoid() * state.tanh(), state

    def outputs(lstm: nn.LSTM, given: Tensor, width: int) -> Tensor:
        hidden = state = torch.zeros(len(given), width)
        found = []
        for position in range(given.shape[1]):
            hidden, state = cell(lstm, given[:, position], hidden, state)
            found.append(hidden)
        return torch.stack(found, 1)

    padded = torch.cat([commands, torch.zeros(3, 41, dtype=torch.long)], 1)
    mean = outputs(model.encoder, model.words.weight[padded], 16).mean(1)
    mean = mean + model.rule_output(outputs(model.rule_encoder, model.rules.weight[rules], 8)[:, -1])
    decoded = outputs(model.decoder, model.actions.weight[actions], 16) + mean[:, None]
    expected = decoded @ model.output.weight.T + model.output.bias
    torch.testing.assert_close(model(rules, commands, actions), expected)


def test_general_attention_by_hand() -> None:
    """Luong et al. 2015: softmax of h W e over the words, then tanh of a layer over context and h."""
    model = AttentionLSTM(WORDS, RULES, ACTIONS, 16).eval()
    rules, commands, actions = _rows(1, 1, seed=3)
    words = int((commands != 0).sum())
    rules = rules.clamp(min=1)
    embedded = torch.cat([model.rules.weight[rules[0]], model.words.weight[commands[0]]])
    outputs, state = model.encoder(embedded[None])
    hidden = model.decoder(model.actions.weight[actions], state)[0][0, 0]
    seen = outputs[0, : 2 + words]
    weights = torch.softmax(torch.stack([hidden @ model.attention.weight @ output for output in seen]), 0)
    combined = torch.tanh(model.combined(torch.cat([weights @ seen, hidden])))
    torch.testing.assert_close(model(rules, commands, actions)[0, 0], model.output(combined))


@pytest.mark.parametrize("name", NETWORKS)
def test_one_position_at_a_time_is_all_at_once(name: str) -> None:
    """The states that decoding keeps, such as keys and values, say what a whole forward pass says."""
    model, (rules, commands, actions) = _network(name), _rows(7)
    with torch.no_grad():
        whole, state = model(rules, commands, actions), model.encode(rules, commands)
        for position in range(actions.shape[1]):
            logits, state = model.step(state, actions[:, position])
            torch.testing.assert_close(logits, whole[:, position], atol=1e-5, rtol=1e-5)
    assert all(len(part) == 7 for part in state), "a decoder drops and copies rows of all of it"


def test_the_command_is_read_with_the_same_precision_whoever_asks() -> None:
    """In training a forward pass reads it; in decoding, `encode` alone."""
    model, (rules, commands, actions) = _network("transformer"), _rows(7)
    model.precision = "bfloat16"
    with torch.no_grad():
        whole, state = model(rules, commands, actions), model.encode(rules, commands)
        logits, _ = model.step(state, actions[:, 0])
    assert {part.dtype for part in state[1:]} == {torch.bfloat16}
    torch.testing.assert_close(logits, whole[:, 0], atol=1e-2, rtol=1e-2)


@pytest.mark.parametrize("name", NETWORKS)
def test_no_position_sees_a_later_one_and_no_row_another(name: str) -> None:
    model, (rules, commands, actions) = _network(name), _rows(5)
    changed = actions.clone()
    changed[:, 6:] = 9 - changed[:, 6:] + 4
    with torch.no_grad():
        one, other = model(rules, commands, actions), model(rules, commands, changed)
        alone = model(rules[2:3], commands[2:3], actions[2:3])
    torch.testing.assert_close(one[:, :6], other[:, :6], atol=1e-6, rtol=1e-5)
    assert (one[:, 6:] - other[:, 6:]).abs().max() > 1e-3
    torch.testing.assert_close(one[2:3], alone, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_rule_and_every_word_are_seen(name: str) -> None:
    model, (rules, commands, actions) = _network(name), _rows(4)
    with torch.no_grad():
        before = model(rules, commands, actions)
        for part in range(2):
            other = rules.clone()
            other[:, part] = (other[:, part] + 1) % RULES
            assert ((model(other, commands, actions) - before).abs().amax((1, 2)) > 1e-6).all()
        other = commands.clone()
        other[:, 0] = (other[:, 0] - 3) % 13 + 4
        assert ((model(rules, other, actions) - before).abs().amax((1, 2)) > 1e-6).all()
