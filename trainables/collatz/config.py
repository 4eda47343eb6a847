"""The configuration of the Collatz family.

"Log run 7" is the seventh run in PROGRESS.md of github gabrielberger1000/collatz_lyapunov
(04c9667), 100,000 steps; "log" is what all its runs used, including the settings that they left at
the code's defaults.
"""

from __future__ import annotations

from typing import Literal

import pydantic

from leadline.config import Ints, TrialConfig, configuration, knob
from leadline.curriculum import Curriculum, Stages, Vocabulary
from trainables.collatz.features import MAX_LOOKAHEAD, Mode
from trainables.collatz.split import TRAIN_SEEDS

__all__ = ["STAGES", "CollatzConfig"]

STAGES = Vocabulary(
    numbers={"hard": (0.0, 1.0)},
    choices={"mining": ("off", "on")},
    metrics=("hinge", "violations", "violation_count"),
    beside=("mining",),
)
"""What a stage sets: the share of the hard seeds that are active, and whether there are minings."""


@configuration
class CollatzConfig(TrialConfig):
    """The settings of a positive function V of an odd n, trained so that V(T(n)) < V(n)."""

    lookahead: int = knob(
        10,
        "valuations k_i seen, which set the input width (log runs 1-5: 10, run 6: 20, run 7: 100)",
        unit="steps",
        ge=1,
        le=MAX_LOOKAHEAD,
    )
    features: Mode = knob("full", "input columns; k_only and _shifted are switches of the log's code")
    layers: Ints = knob((64, 64), "hidden widths; `linear` for none (log: 2048,1024,1024,512,512,512,256,128,64)")
    skip: bool = knob(
        False,
        "add a linear path that starts at the zero-parameter formula, the mean of ln T^j(n), j = 0..lookahead (ours)",
    )
    batch: int = knob(256, "rows of a step (log: 1024)", unit="rows", ge=1, le=2**20)
    lr: float = knob(
        1e-3,
        "AdamW learning rate at its highest (log: 1e-3, then halved by a plateau rule fed single batches)",
        gt=0,
        le=1,
    )
    lr_scaling: Literal["none", "sqrt", "linear"] = knob(
        "none",
        "factor on lr: (batch/lr_batch)^1/2 (Krizhevsky 2014; Malladi et al. 2022 for Adam) or ^1 (Goyal et al. 2017)",
    )
    lr_batch: int = knob(
        256, "batch at which lr holds as it is given; used by lr_scaling alone", unit="rows", ge=1, le=2**20
    )
    schedule: Literal["constant", "cosine", "plateau"] = knob(
        "cosine",
        "cosine falls to 0 (Loshchilov and Hutter 2017); "
        "plateau halves lr when single batches' losses set no new low (log)",
    )
    patience: float = knob(
        0.02,
        "share of the budget without a new low before schedule=plateau halves lr (log: 2000 of 100000 steps)",
        ge=0,
        le=1,
    )
    weight_decay: float = knob(0.01, "AdamW decoupled decay (log: torch's default)", ge=0, le=1)
    margin: float = knob(0.05, "descent V(n) - V(Tn) below which the hinge T1 is active (log)", gt=0, le=100)
    weights: Literal["logged", "even"] = knob(
        "logged",
        "rows' weights in T1: 20 growth, 2 decay if hard, else 10 and 1 (log); "
        "even: 1 for all, as the scores have it (ours)",
    )
    t4: bool = knob(False, "add the hinge between V(n) and V(T^4 n), weight 0.5 (log run 4)")
    t8: bool = knob(False, "add the hinge between V(n) and V(T^8 n), weight 0.2 (a switch of the log's code)")
    hard_ratio: float = knob(
        0.25, "share of rows from hard seeds' orbits; random rows while no seed is active (log: 0.25)", ge=0, le=1
    )
    extra_orbits: int = knob(
        0,
        "further hard seeds, drawn by the rule of validation and test from other numbers, active throughout "
        "(ours; log: 0)",
        unit="seeds",
        ge=0,
        le=4096,
    )
    start_seeds: int = knob(0, "hard seeds active from the start (log: 0)", unit="seeds", ge=0, le=len(TRAIN_SEEDS))
    ramp: float = knob(
        0.5,
        "share of the budget over which the other hard seeds enter; 0: at once (log run 7: 50000 of 100000 steps)",
        ge=0,
        le=1,
    )
    stages: Stages = knob(
        (),
        "curriculum in place of ramp and start_seeds: `hard`, the share of the hard seeds that are active, "
        "and mining=on, as in seeds:1/2:hard=1:ramp=1,mined:1/2:hard=1:mining=on (ours; the log wished it); "
        f"{STAGES.help}",
    )
    idle: Literal["random", "27"] = knob(
        "random",
        "hard rows while no seed is active: random ones instead, or (the log's code) seed 27, one of its test seeds",
    )
    anchor: float = knob(
        1.0, "weight of the anchor MSE(V, ln n + c drift) before it decays; 0 leaves it out (log: 1)", ge=0, le=1000
    )
    target: Literal["fixed", "adaptive", "split"] = knob(
        "fixed", "the anchor's c: 0.35; or trained; or trained on rows from hard orbits and 0.35 elsewhere (log: fixed)"
    )
    anchor_decay_start: float = knob(
        0.01, "share of the budget before the anchor decays (log: 1000 of 100000 steps)", ge=0, le=1
    )
    anchor_decay: float = knob(
        0.05, "share of the budget over which it decays to a thousandth (log: 5000 of 100000 steps)", ge=0, le=1
    )
    anchor_min: float = knob(
        0.0, "floor that the decayed anchor is added to, as a share of its weight (log: 0)", ge=0, le=1
    )
    mine_every: float = knob(
        0.0, "share of the budget between minings of hard negatives; 0: none (log runs 2-4: 0.1)", ge=0, lt=1
    )
    mine_candidates: int = knob(
        5000, "rows that a mining looks at, half of them hard ones (log: 5000)", unit="rows", ge=2, le=2**17
    )
    mine_count: int = knob(
        50, "rows of smallest margin that it adds, violations or not, as further hard seeds (log: 50)", ge=1, le=1000
    )
    mine_share: float = knob(
        1.0,
        "most that mined orbits may take of the hard rows; 1: every active or mined seed counts alike (log)",
        ge=0,
        le=1,
    )
    mine_tolerance: float = knob(
        1.5,
        "growth of violations on training rows, as a factor, beyond which a mining is taken back; 0: never (log)",
        ge=0,
        le=1000,
    )
    pool: int = knob(
        2**17,
        "random rows made once, drawn from with replacement; 0.4 kB each (see fresh)",
        unit="rows",
        ge=1,
        le=2**20,
    )
    fresh: bool = knob(
        False, "draw random rows anew at each step instead of from the pool, which only the audit then reads (log)"
    )
    guard: Literal["all", "scored"] = knob(
        "all",
        "whose private numbers training may not touch: validation's, test's and the logged seeds'; "
        "or without the last (log)",
    )
    data_seed: int = knob(0, "seed of the pool; the hard orbits are always the same", ge=0, le=2**63 - 1)
    orbits: int = knob(
        0,
        "which draw of validation and test orbits: take the next when this one has been looked at too often",
        ge=0,
        le=3,
    )
    common: int = knob(
        0,
        "steps with more than this many left to 1 form the common subset, on which lookaheads can be compared; "
        "0: the lookahead itself",
        unit="steps",
        ge=0,
        le=MAX_LOOKAHEAD,
    )
    population: bool = knob(
        False,
        "report the log's figures on its 50,000 evaluation numbers too, as facts; about a forward pass of 100,000 rows",
    )

    @pydantic.model_validator(mode="after")
    def _consistent(self) -> CollatzConfig:
        if self.skip and self.features.startswith("k_only"):
            raise ValueError("skip: the formula needs ln n, so features must be full or k_shifted")
        if self.anchor == 0 and self.anchor_min > 0:
            raise ValueError("anchor_min: has no effect with anchor=0")
        if self.anchor == 0 and self.target != "fixed":
            raise ValueError("target: only the anchor uses it, so anchor must be above 0 or target fixed")
        if self.idle == "27" and self.guard == "all":
            raise ValueError("idle: 27 is a logged test seed, so it needs guard=scored")
        if self.mine_every > 0 and self.hard_ratio == 0:
            raise ValueError("mine_every: mined numbers are hard rows, so hard_ratio must be above 0")
        if self.curriculum is not None:
            mined = any("on" in stage.choices["mining"] for stage in self.curriculum.stages)
            if mined != (self.mine_every > 0):
                raise ValueError(f"mine_every: {'0' if mined else 'above 0'} does not go with the stages' mining")
            if self.schedule == "plateau":
                raise ValueError("schedule: plateau does not go with stages, which set rates of their own")
            if self.start_seeds:
                raise ValueError("start_seeds: has no effect with stages, which say how many seeds are active")
        if self.mine_count > self.mine_candidates:
            raise ValueError(
                f"mine_count: must be at most mine_candidates, {self.mine_candidates} (got {self.mine_count})"
            )
        if 0 < self.mine_tolerance < 1:
            raise ValueError(f"mine_tolerance: must be 0 or at least 1 (got {self.mine_tolerance})")
        if 0 < self.common < self.lookahead:
            raise ValueError(f"common: must be 0 or at least the lookahead, {self.lookahead} (got {self.common})")
        return self

    @property
    def curriculum(self) -> Curriculum | None:
        """The stages, if there are any."""
        return Curriculum.of(self.stages, STAGES) if self.stages else None

    @property
    def peak_lr(self) -> float:
        """The highest learning rate of the schedule, scaled to the batch by `lr_scaling`."""
        power = {"none": 0.0, "sqrt": 0.5, "linear": 1.0}[self.lr_scaling]
        return float(self.lr * (self.batch / self.lr_batch) ** power)

    @property
    def reach(self) -> tuple[int, ...]:
        """The iterates j > 1 whose V(T^j n) the losses compare with V(n)."""
        return tuple(j for j, used in ((4, self.t4), (8, self.t8)) if used)

    @property
    def mine_interval(self) -> int:
        """The optimizer steps between two minings; 0 for none.

        It is less than the budget, so that at least one mining happens; a budget of one step has
        none.
        """
        return max(1, min(round(self.mine_every * self.steps), self.steps - 1)) if self.mine_every else 0
