"""Checks that nothing that is scored is trained on, and that the answers are the interpreter's.

Commands are compared by their tokens, and answers are interpreted anew from words, so that a
mistake in the numbering or in the joined answers is found here.
"""

from __future__ import annotations

from typing import Final, Literal, get_args

import numpy as np
import numpy.typing as npt

from leadline.config import ConfigError, did_you_mean
from leadline.finding import Finding
from trainables.scan.data import ScanData
from trainables.scan.grammar import SPECIALS, WORDS, actions
from trainables.scan.interpreter import interpret
from trainables.scan.rule_split import KINDS, Scored
from trainables.scan.rules import RULES

__all__ = ["Protocol", "audit"]

I64 = npt.NDArray[np.int64]
Protocol = Literal["clean", "logged"]
"""`clean`: no scored command is trained on. `logged`, as the log has it: that is only counted."""

PARTS: Final[tuple[Scored, ...]] = ("validation", "test")
INTERPRETED = 2000  # answers that are interpreted anew
_BASE: Final = len(SPECIALS) + max(len(WORDS), len(RULES))


def _keys(tokens: npt.NDArray[np.int8]) -> I64:
    """Returns a number for each row of token ids, equal only for equal rows: int64 [rows]."""
    powers = _BASE ** np.arange(tokens.shape[1], dtype=np.int64)
    return np.asarray(tokens.astype(np.int64) @ powers)


def audit(data: ScanData, protocol: Protocol = "clean") -> list[Finding]:
    """Returns the findings on a split and its rules; a failed one refuses the data.

    Args:
        data: what is checked.
        protocol: whether a command may be both trained on and scored, as in the log's split.

    Raises:
        ConfigError: beginning with `protocol`, for another one.
    """
    if protocol not in get_args(Protocol):
        near = did_you_mean(protocol, get_args(Protocol)) or f"there are {', '.join(get_args(Protocol))}"
        raise ConfigError(f"protocol: no protocol {protocol!r}; {near}")
    commands = _keys(data.commands)
    return [
        *(_overlap(data, commands, part, protocol) for part in PARTS),
        *(_rule_overlap(data, commands, part, protocol) for part in PARTS if len(data.rules) > 1),
        _answers(data),
        _same_answers(data),
        _numbering(commands),
    ]


def _overlap(data: ScanData, commands: I64, part: Scored, protocol: Protocol) -> Finding:
    train, scored = (commands[getattr(data, rows)] for rows in ("train", part))
    hits = int(np.isin(scored, train).sum())
    said = f"{hits} of {len(scored)} {part} commands ({hits / len(scored):.1%}) are trained on"
    return _judged(f"overlap_{part}_commands", hits, said, protocol)


def _rule_overlap(data: ScanData, commands: I64, part: Scored, protocol: Protocol) -> Finding:
    """Counts the pairs of rule and command that are both trained and scored, of every kind."""
    rule, command = (np.unique(keys, return_inverse=True)[1] for keys in (_keys(data.rule_tokens), commands))
    ids = rule[:, None] * len(commands) + command
    scored = ids[np.any([data.tasks.scored(kind, part) for kind in KINDS], axis=0)]
    trained = np.zeros(ids.size, dtype=np.bool_)
    trained[ids[data.tasks.trained]] = True
    hits = int(trained[scored].sum())
    said = f"{hits} of {len(scored)} {part} pairs of rule and command ({hits / len(scored):.1%}) are trained on"
    return _judged(f"overlap_{part}_pairs", hits, said, protocol)


def _judged(name: str, hits: int, said: str, protocol: Protocol) -> Finding:
    allowed = protocol == "logged"
    if not hits:
        return Finding(name, False, hits, f"{said}.")
    end = "which protocol=logged allows" if allowed else "only protocol=logged, which repeats the log, allows that"
    return Finding(name, not allowed, hits, f"{said}{', ' if allowed else '; '}{end}.")


def _answers(data: ScanData) -> Finding:
    """Interprets a fixed draw of answers anew."""
    generator = np.random.default_rng(0)
    rules = generator.integers(len(data.rules), size=INTERPRETED)
    commands = generator.integers(len(data.commands), size=INTERPRETED)
    stored = data.answers(rules, commands)
    words = [[WORDS[token - len(SPECIALS)] for token in row if token] for row in data.commands[commands]]
    wrong = sum(
        interpret(command, data.rules[rule]) != actions(answer)
        for command, rule, answer in zip(words, rules, stored, strict=True)
    )
    said = f"{wrong} of {INTERPRETED} answers, a draw over rules and commands, are not the interpreter's."
    return Finding("answers", wrong > 0, wrong, said)


def _same_answers(data: ScanData) -> Finding:
    """Says how many test answers are the answers to training commands, which is no fault.

    Commands with one meaning are many: "walk and run" and "run after walk".
    """
    every = data.answers(0, np.arange(len(data.commands)))
    _, ids = np.unique(every, axis=0, return_inverse=True)
    ids = ids.reshape(-1)
    hits = int(np.isin(ids[data.test], ids[data.train]).sum())
    share = hits / len(data.test)
    said = f"{hits} of {len(data.test)} test answers ({share:.1%}) are also the answer to a training command."
    return Finding("same_answers", False, share, said)


def _numbering(commands: I64) -> Finding:
    twice = len(commands) - len(np.unique(commands))
    return Finding("numbering", twice > 0, twice, f"{twice} of {len(commands)} commands stand under two numbers.")
