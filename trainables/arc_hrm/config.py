"""The configuration of the HRM-style network.

"Log" is the ARC training log of github dp-web4/HRM (338561b), whose network has 6.95 million
numbers. Only facts of it are used here: sizes, settings and scores.
"""

from __future__ import annotations

from typing import Literal

import pydantic

from leadline.config import configuration, knob
from leadline.training.precision import PRECISION, RECOMPUTE, Precision
from trainables.puzzles.config import BoardConfig, Conditions

__all__ = ["ArcHRMConfig"]

_APPLY: Conditions = ((lambda c: c.schedule == "restarts", "without schedule=restarts", ("restart_period",)),)


@configuration
class ArcHRMConfig(BoardConfig):
    """The settings of a network whose two stacks take turns for some cycles.

    A forward pass stops for all of its rows at once. `micro_batch` is therefore part of the model
    here: batch=40 with micro_batch=20 and with micro_batch=8 may stop at other cycles.
    """

    hidden: int = knob(64, "width (log: 256)", ge=2, le=4096)
    heads: int = knob(4, "attention heads, which divide the width (log: 8)", ge=1, le=64)
    h_layers: int = knob(1, "encoder layers of the H stack (log: 4)", ge=1, le=64)
    l_layers: int = knob(1, "encoder layers of the L stack (log: 3)", ge=1, le=64)
    max_cycles: int = knob(4, "most turns of both stacks, all of which carry gradient (log: 8)", ge=1, le=64)
    dropout: float = knob(
        0.0, "share of embeddings, attention weights and layers' outputs that training drops (log: 0.1)", ge=0, lt=1
    )
    halt_threshold: float = knob(
        0.9,
        "rows stop together, after two cycles at least, once their mean probability of halting is above this; "
        "scored boards stop one by one; 1: never (log: 0.9)",
        gt=0,
        le=1,
    )
    halt_penalty: float = knob(
        0.01, "weight of the mean probability of halting in the loss, which makes it fall (log: 0.01)", ge=0, le=100
    )
    label_smoothing: float = knob(
        0.0, "share of a label's weight that all tokens share in the loss (log: 0; session 5: 0.1)", ge=0, lt=1
    )
    pad: Literal["class", "ignored"] = knob(
        "ignored", "cells whose label is PAD: an answer like any other in the loss (log), or no part of it"
    )
    demonstrations_in_input: bool = knob(
        False,
        "put the demonstrations behind the board, so that the network can tell which rule is meant; "
        "off: it sees the board alone, as in the log",
    )
    precision: Precision = knob("float32", f"{PRECISION} (log: mixed)")
    recompute: bool = knob(False, RECOMPUTE)

    batch: int = knob(
        64,
        "boards of a step; see micro_batch, within which rows stop together (log: 2 x 20, session 4: 5 x 8)",
        unit="boards",
        ge=1,
        le=2**16,
    )
    lr: float = knob(1e-3, "AdamW learning rate at its highest (log: 3e-4)", gt=0, le=1)
    weight_decay: float = knob(0.01, "AdamW decoupled decay (log: 0.01)", ge=0, le=10)
    clip: float = knob(1.0, "bound on the gradient's norm; 0: none (log: 1)", ge=0, le=1e6)
    warmup: float = knob(0.04, "share of the budget over which the learning rate rises from 0 (log: 0)", ge=0, lt=1)
    schedule: Literal["constant", "restarts"] = knob(
        "constant", "after the warm-up: constant, or cosines to 0 (Loshchilov and Hutter 2017; log: session 5)"
    )
    restart_period: int = knob(
        500, "length of each cosine of schedule=restarts (log: 20000)", unit="optimizer steps", ge=1, le=10**9
    )

    @property
    def _conditions(self) -> Conditions:
        """The conditions under which fields have an effect."""
        return (*super()._conditions, *_APPLY)

    @property
    def reads_demonstrations(self) -> bool:
        """Whether demonstrations are in the input."""
        return self.demonstrations_in_input

    @pydantic.model_validator(mode="after")
    def _consistent(self) -> ArcHRMConfig:
        if self.hidden % self.heads:
            raise ValueError(f"heads: must divide the width, {self.hidden} (got {self.heads})")
        if self.batch > self.train_boards:
            raise ValueError(f"batch: must be at most train_boards, {self.train_boards} (got {self.batch})")
        if self.demonstrations and not self.puzzle.demonstrations:
            raise ValueError(f"demonstrations: must be 0, as {self.task} has none (got {self.demonstrations})")
        if self.demonstrations_in_input and not self.demonstrations:
            raise ValueError("demonstrations: must be at least 1 with demonstrations_in_input (got 0)")
        if self.micro_batch == "auto":
            raise ValueError("micro_batch: must be a number, as rows of a micro-batch stop together (got 'auto')")
        return self
