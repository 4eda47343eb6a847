"""Answers by a network: greedy and beam decoding, in batches, with states that are kept.

Rows that have ended are dropped as soon as they are half of all, so that short answers do not wait
for long ones at full cost.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from trainables.scan.grammar import END, PAD, START
from trainables.scan.lstm import State

__all__ = ["Answers", "Decodable", "beam", "decode", "greedy"]


class Decodable(Protocol):
    """What decoding asks of a network; see `trainables.scan.lstm`."""

    def encode(self, rules: Tensor, commands: Tensor) -> State:
        """Reads rules [rows, parts] and commands [rows, words]."""

    def step(self, state: State, action: Tensor) -> tuple[Tensor, State]:
        """The logits [rows, actions] after an action [rows], and the state after it."""


class Answers(NamedTuple):
    """What a network answers.

    Attributes:
        actions: int64 [rows, positions], with END where an answer ends and PAD after it.
        score: the log probability of the answer, END included, float64 [rows]; NaN where a logit
            was no finite number.
    """

    actions: Tensor
    score: Tensor


def _log_probabilities(logits: Tensor) -> Tensor:
    """Log probabilities in float64, NaN in rows that hold a logit which is not finite.

    PAD and START are no answers, so they have none.
    """
    found = logits.double().masked_fill(~logits.isfinite().all(-1, keepdim=True), torch.nan)
    return found.index_fill(-1, torch.tensor([PAD, START], device=logits.device), -torch.inf).log_softmax(-1)


def _kept(state: State, rows: Tensor) -> State:
    return tuple(part[rows] for part in state)


@torch.no_grad()
def greedy(model: Decodable, rules: Tensor, commands: Tensor, limit: int) -> Answers:
    """Takes the most probable action at each position, until END.

    Args:
        model: the network.
        rules: int64 [rows, parts].
        commands: int64 [rows, words].
        limit: positions after which an answer is given up.
    """
    rows = len(commands)
    actions = torch.full((rows, limit), PAD, dtype=torch.long, device=commands.device)
    score = torch.zeros(rows, dtype=torch.float64, device=commands.device)
    left = torch.arange(rows, device=commands.device)
    last = torch.full_like(left, START)
    ended = torch.zeros_like(left, dtype=torch.bool)
    state = model.encode(rules, commands)
    for position in range(limit):
        logits, state = model.step(state, last)
        best, last = _log_probabilities(logits).max(-1)
        last = last.masked_fill(ended, PAD)
        actions[left, position] = last
        score[left] += best.masked_fill(ended, 0.0)
        ended = ended | (last == END)
        count = int(ended.sum())
        if count == len(left):
            break
        if 2 * count >= len(left):
            open_ = (~ended).nonzero()[:, 0]
            left, last, ended, state = left[open_], last[open_], ended[open_], _kept(state, open_)
    return Answers(actions, score)


@torch.no_grad()
def beam(model: Decodable, rules: Tensor, commands: Tensor, limit: int, width: int) -> Answers:
    """Keeps the `width` most probable beginnings at each position; the most probable answer wins.

    The greedy answer is among those compared, as a beam may lose it on the way: no answer is less
    probable than the greedy one.

    Args:
        model: the network.
        rules: int64 [rows, parts].
        commands: int64 [rows, words].
        limit: positions after which an answer is given up.
        width: beginnings that are kept for each row, 1 or more.
    """
    first = greedy(model, rules, commands, limit)
    if width == 1:
        return first
    rows, device = len(commands), commands.device
    state = _kept(model.encode(rules, commands), torch.arange(rows, device=device).repeat_interleave(width))
    actions = torch.full((rows, width, limit), PAD, dtype=torch.long, device=device)
    score = torch.full((rows, width), -torch.inf, dtype=torch.float64, device=device)
    score[:, 0] = 0.0
    last = torch.full((rows, width), START, dtype=torch.long, device=device)
    ended = torch.zeros(rows, width, dtype=torch.bool, device=device)
    for position in range(limit):
        logits, state = model.step(state, last.flatten())
        more = _log_probabilities(logits).reshape(rows, width, -1)
        count = more.shape[-1]
        # An answer that has ended goes on by PAD alone, which costs nothing.
        done = torch.full_like(more, -torch.inf).index_fill_(-1, torch.tensor(PAD, device=device), 0.0)
        more = torch.where(ended[..., None], done, more)
        score, chosen = (score[..., None] + more).flatten(1).topk(width)
        source, last = chosen // count, chosen % count
        actions = actions.gather(1, source[..., None].expand(-1, -1, limit))
        actions[..., position] = last
        ended = ended.gather(1, source) | (last == END)
        if bool(ended.all()):
            break
        state = _kept(state, (torch.arange(rows, device=device)[:, None] * width + source).flatten())
    # An answer that was given up is not compared with those that have ended.
    whole = score.masked_fill(~ended, -torch.inf)
    best, place = whole.max(1)
    found = actions[torch.arange(rows, device=device), place]
    better = best > first.score.masked_fill(~(first.actions == END).any(1), -torch.inf)
    return Answers(torch.where(better[:, None], found, first.actions), torch.where(better, best, first.score))


def decode(model: Decodable, rules: Tensor, commands: Tensor, limit: int, width: int = 1, rows: int = 1024) -> Answers:
    """Answers all rows, at most `rows` of them at a time, by a beam of that width; 1 is greedy."""
    parts = [
        beam(model, rules[first : first + rows], commands[first : first + rows], limit, width)
        for first in range(0, len(commands), rows)
    ]
    return Answers(torch.cat([part.actions for part in parts]), torch.cat([part.score for part in parts]))
