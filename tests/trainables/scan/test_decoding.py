"""Greedy and beam decoding, against decoding by hand and against all answers there are."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.trainables.scan.test_models import ACTIONS, NETWORKS, RULES, WORDS, _network, _rows
from trainables.scan.decoding import beam, decode, greedy
from trainables.scan.grammar import END, PAD, START
from trainables.scan.lstm import AttentionLSTM, State

LIMIT = 12


def _log_probabilities(logits: Tensor) -> Tensor:
    found = logits.double().clone()
    found[..., [PAD, START]] = -math.inf
    return found.log_softmax(-1)


def _by_hand(model: Any, rules: Tensor, commands: Tensor) -> tuple[list[int], float]:
    """The greedy answer to one row, by whole forward passes."""
    said, score = [START], 0.0
    while len(said) <= LIMIT and said[-1] != END:
        logits = _log_probabilities(model(rules, commands, torch.tensor([said]))[0, -1])
        score += float(logits.max())
        said.append(int(logits.argmax()))
    return said[1:], score


def _ending(name: str) -> Any:
    """A network whose answers end at different positions."""
    model = _network(name)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(3.0)
        model.output.bias[END] += 0.5
    return model


@pytest.mark.parametrize("name", NETWORKS)
def test_greedy_is_decoding_by_hand(name: str) -> None:
    model, (rules, commands, _) = _ending(name), _rows(40)
    found = greedy(model, rules, commands, LIMIT)
    lengths = set()
    for row in range(40):
        with torch.no_grad():
            said, score = _by_hand(model, rules[row : row + 1], commands[row : row + 1])
        assert found.actions[row].tolist() == said + [PAD] * (LIMIT - len(said))
        assert float(found.score[row]) == pytest.approx(score, abs=1e-4)
        lengths.add(len(said))
    assert len(lengths) > 2, "rows end, and are dropped, at different positions"


@pytest.mark.parametrize("name", NETWORKS)
def test_a_beam_of_one_is_greedy_and_a_wider_one_no_less_probable(name: str) -> None:
    model, (rules, commands, _) = _ending(name), _rows(40)
    plain, one, four = greedy(model, rules, commands, LIMIT), *(beam(model, rules, commands, LIMIT, k) for k in (1, 4))
    assert torch.equal(plain.actions, one.actions)
    assert torch.equal(plain.score, one.score)
    ended = (plain.actions == END).any(1)
    assert (four.score >= plain.score)[ended].all()
    assert (four.score > plain.score + 1e-6).any(), "else the beam is not tested"


@pytest.mark.parametrize("name", NETWORKS)
def test_a_beam_s_score_is_that_of_its_answer(name: str) -> None:
    model, (rules, commands, _) = _ending(name), _rows(20)
    found = beam(model, rules, commands, LIMIT, 3)
    inputs = torch.cat([torch.full((20, 1), START), found.actions[:, :-1]], 1)
    with torch.no_grad():
        own = _log_probabilities(model(rules, commands, inputs)).gather(2, found.actions[..., None])[..., 0]
    after = (found.actions == END).cumsum(1) - (found.actions == END).long()
    torch.testing.assert_close(own.masked_fill(after > 0, 0).sum(1), found.score, atol=1e-3, rtol=1e-4)


class Chain:
    """A Markov chain over END and two actions, whose best answer greedy decoding misses."""

    table = torch.full((6, 6), -math.inf)
    table[START, 3], table[START, 4] = math.log(0.6), math.log(0.4)
    table[3, END], table[3, 3], table[3, 4] = math.log(0.34), math.log(0.33), math.log(0.33)
    table[4, END], table[4, 4] = math.log(0.9), math.log(0.1)
    table[PAD] = table[END] = 0.0

    def encode(self, rules: Tensor, commands: Tensor) -> State:
        return (torch.zeros(len(commands)),)

    def step(self, state: State, action: Tensor) -> tuple[Tensor, State]:
        return self.table[action].clamp(min=-1e9), state


def test_a_beam_finds_the_most_probable_of_all_answers() -> None:
    """0.4 x 0.9 for the second action and END, where the first action alone is more probable."""
    rows = torch.zeros(2, 1, dtype=torch.long)
    everything = {
        said: math.exp(sum(float(Chain.table[a, b]) for a, b in itertools.pairwise((START, *said))))
        for length in range(3)
        for middle in itertools.product((3, 4), repeat=length)
        for said in [(*middle, END)]
    }
    best = max(everything, key=lambda said: everything[said])
    found = beam(Chain(), rows, rows, 4, 2)
    assert found.actions[0].tolist() == [*best, PAD, PAD] == [4, END, PAD, PAD]
    assert float(found.score[0].exp()) == pytest.approx(0.36)
    assert float(greedy(Chain(), rows, rows, 4).score[0].exp()) == pytest.approx(0.6 * 0.34)


@pytest.mark.parametrize("width", [1, 3])
def test_weights_that_are_no_numbers_have_no_score(width: int) -> None:
    model, (rules, commands, _) = AttentionLSTM(WORDS, RULES, ACTIONS, 8).eval(), _rows(6)
    with torch.no_grad():
        model.words.weight.fill_(math.nan)
    assert decode(model, rules, commands, LIMIT, width).score.isnan().all()


def test_rows_at_once_change_no_answer() -> None:
    model, (rules, commands, _) = _ending("attention"), _rows(33)
    whole, parts = decode(model, rules, commands, LIMIT), decode(model, rules, commands, LIMIT, rows=7)
    assert torch.equal(whole.actions, parts.actions)
    torch.testing.assert_close(whole.score, parts.score)
