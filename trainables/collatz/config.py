"""Configuration of the Collatz family.

"Log run 7" is the seventh run in PROGRESS.md of github gabrielberger1000/collatz_lyapunov (04c9667), 100,000 steps; "log" is
what all its runs used, settings that they left at the code's defaults included.
"""

from __future__ import annotations

from typing import Literal

import pydantic

from trainables.collatz.features import MAX_LOOKAHEAD, Mode
from trainables.collatz.split import TRAIN_SEEDS
from trainables.config import Ints, TrialConfig, configuration, knob

__all__ = ["CollatzConfig"]


@configuration
class CollatzConfig(TrialConfig):
    """A positive function V of an odd n, trained so that V(T(n)) < V(n)."""

    lookahead: int = knob(
        10, "valuations k_i seen, which set the input width (log runs 1-5: 10, run 6: 20, run 7: 100)", unit="steps", ge=1, le=MAX_LOOKAHEAD
    )
    features: Mode = knob("full", "input columns; k_only and _shifted are switches of the log's code")
    layers: Ints = knob((64, 64), "hidden widths; `linear` for none (log: 2048,1024,1024,512,512,512,256,128,64)")
    skip: bool = knob(False, "add a linear path that starts at the zero-parameter formula, the mean of ln T^j(n), j = 0..lookahead (ours)")
    batch: int = knob(256, "rows of a step (log: 1024)", unit="rows", ge=1, le=2**20)
    lr: float = knob(1e-3, "AdamW learning rate at its highest (log: 1e-3, then halved by a plateau rule fed single batches)", gt=0, le=1)
    schedule: Literal["constant", "cosine"] = knob(
        "cosine", "learning rate over the budget; cosine falls to 0 (Loshchilov and Hutter 2017)"
    )
    weight_decay: float = knob(0.01, "AdamW decoupled decay (log: torch's default)", ge=0, le=1)
    margin: float = knob(0.05, "descent V(n) - V(Tn) below which the hinge T1 is active (log)", gt=0, le=100)
    hard_ratio: float = knob(0.25, "share of rows from hard seeds' orbits; random rows while no seed is active (log: 0.25)", ge=0, le=1)
    start_seeds: int = knob(0, "hard seeds active from the start (log: 0)", unit="seeds", ge=0, le=len(TRAIN_SEEDS))
    ramp: float = knob(
        0.5, "share of the budget over which the other hard seeds enter; 0: at once (log run 7: 50000 of 100000 steps)", ge=0, le=1
    )
    anchor: float = knob(1.0, "weight of the anchor MSE(V, ln n + 0.35 drift) before it decays; 0 leaves it out (log: 1)", ge=0, le=1000)
    anchor_decay_start: float = knob(0.01, "share of the budget before the anchor decays (log: 1000 of 100000 steps)", ge=0, le=1)
    anchor_decay: float = knob(0.05, "share of the budget over which it decays to a thousandth (log: 5000 of 100000 steps)", ge=0, le=1)
    anchor_min: float = knob(0.0, "floor that the decayed anchor is added to, as a share of its weight (log: 0)", ge=0, le=1)
    pool: int = knob(
        2**17, "random rows made once, drawn from with replacement; 0.4 kB each (log: fresh ones every step)", unit="rows", ge=1, le=2**20
    )
    data_seed: int = knob(0, "seed of the pool; the hard orbits are always the same", ge=0, le=2**63 - 1)

    @pydantic.model_validator(mode="after")
    def _consistent(self) -> CollatzConfig:
        if self.skip and self.features.startswith("k_only"):
            raise ValueError("skip: the formula needs ln n, so features must be full or k_shifted")
        if self.anchor == 0 and self.anchor_min > 0:
            raise ValueError("anchor_min: has no effect with anchor=0")
        return self
