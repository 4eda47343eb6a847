"""The answer to one command that a person gives, as text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from torch import nn

from leadline.config import ConfigError
from trainables.scan import grammar
from trainables.scan.decoding import Decodable, decode
from trainables.scan.interpreter import interpret
from trainables.scan.rules import BASE, Combination, combination, token

__all__ = ["Answer", "answer", "read_command"]

LIMIT = 200  # actions after which an answer is given up; the longest right one has 120


@dataclass(frozen=True)
class Answer:
    """A network's answer to a command.

    Attributes:
        command: the command.
        rule: the name of the rules that it is answered under, or `base`.
        actions: the answer.
        expected: the right answer, by the interpreter.
        log_probability: of the answer and its end, by the network, in nats.
    """

    command: str
    rule: str
    actions: str
    expected: str
    log_probability: float

    @property
    def right(self) -> bool:
        """Whether the answer is right."""
        return self.actions == self.expected

    def __str__(self) -> str:
        return self.actions


def read_command(inputs: Any) -> tuple[tuple[str, ...], str, Combination]:
    """Reads a command, alone or with the name of a rule.

    Args:
        inputs: a text such as "jump twice", or a pair of it and the name of a rule, such as
            ("jump twice", "jump->walk").

    Returns:
        The command's words, the name of the rule, and its parts.

    Raises:
        ConfigError: beginning with `inputs`, if it is anything else.
    """
    command, rule = (inputs, BASE) if isinstance(inputs, str) else _pair(inputs)
    try:
        return grammar.read(command), rule, combination(rule)
    except ConfigError as error:
        raise ConfigError(f"inputs: {error}") from None


def _pair(inputs: Any) -> tuple[str, str]:
    match inputs:
        case (str(command), str(rule)) | [str(command), str(rule)]:
            return command, rule
    raise ConfigError(f"inputs: expected a command, or a pair of it and the name of a rule (got {inputs!r:.60})")


def answer(model: nn.Module, inputs: Any, beam: int) -> Answer:
    """Returns a network's answer to what a person gives, decoded with a beam of that width.

    Raises:
        ConfigError: as `read_command`.
    """
    words, rule, parts = read_command(inputs)
    rules = np.zeros((1, max(2, len(parts))), dtype=np.int64)
    rules[0, : len(parts)] = sorted(map(token, parts))
    device = next(model.parameters()).device
    commands = grammar.tokens()[[grammar.number(words)]].astype(np.int64)
    given = [torch.from_numpy(array).to(device) for array in (rules, commands)]
    found = decode(cast(Decodable, model), given[0], given[1], LIMIT, beam)
    said = " ".join(grammar.actions(found.actions[0].tolist()))
    return Answer(" ".join(words), rule, said, " ".join(interpret(words, parts)), float(found.score[0]))
