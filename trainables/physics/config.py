"""The configuration of the physics family.

"Log" is the experiment log whose physics run is `train_progressive_paperspace.py` of github
fergusmeiklejohn/neural_networks_research (f9d64ec).
"""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Annotated, Any, Literal

import pydantic

from leadline.config import TrialConfig, configuration, knob
from leadline.curriculum import Curriculum, Stages, Vocabulary
from leadline.training.precision import PRECISION, RECOMPUTE, Precision
from trainables.physics.setting import Setting, log_setting
from trainables.physics.world import Ranges

__all__ = ["CONTACTS", "DATA_FIELDS", "VOCABULARY", "PhysicsConfig"]

CONTACTS = ("all", "flight", "walls", "balls")
"""What happens in the frames ahead: anything, nothing, walls are met but no balls, balls meet."""

VOCABULARY = Vocabulary(
    numbers={"energy": (0.0, 1e3), "momentum": (0.0, 1e3), "randomise": (0.0, 1.0), "edge": (0.0, 1.0)},
    choices={"contacts": CONTACTS},
    metrics=("skill", "nrmse", "extrapolation_skill", "novel_skill"),
)
"""What a stage sets: weights of the physics terms, shares of the rows, and kinds of windows.

`energy` and `momentum` weigh those terms. `randomise` is the share of the rows whose worlds are
randomised, `edge` the share that comes from the worlds nearest to the edge of the training box.
"""


def _pair(value: Any) -> Any:
    """Both ends of a range that is given as text or as a sequence."""
    ends = value.split(",") if isinstance(value, str) else value
    try:
        low, high = map(float, ends)
    except (TypeError, ValueError):
        raise ValueError("expected its lowest and highest value, such as 0.75,3") from None
    return low, high


Pair = Annotated[tuple[float, float], pydantic.BeforeValidator(_pair)]
"""The type of a field that is a range, written as its lowest and its highest value, `3,12`."""

DATA_FIELDS = (
    "scene",
    "balls",
    "fewest",
    "gravity",
    "friction",
    "damping",
    "elasticity",
    "dt",
    "frames",
    "seen",
    "horizon",
    "common",
    "stride",
    "substeps",
    "episodes",
    "scored",
    "each",
    "data_seed",
    "randomised",
    "width_of_randomisation",
)
"""The fields that decide the data."""


@configuration
class PhysicsConfig(TrialConfig):
    """The settings of a network that sees some frames of balls in a box and predicts the next."""

    scene: Literal["box", "log"] = knob(
        "box",
        "a box of 2.0 x 1.5 m where walls and balls are met; or the log's, 800 x 600 pixels at 60 frames a second",
    )
    balls: int = knob(3, "most balls of an episode (log: 1 to 4, of which its networks got 3)", ge=1, le=4)
    fewest: int = knob(3, "fewest balls of an episode", ge=1, le=4)
    gravity: Pair = knob((0.75, 3.0), "range of the training worlds (log: 300 to 1200 pixels/s^2)", unit="m/s^2")
    friction: Pair = knob((0.1, 0.8), "range of the coefficient between balls and walls in training worlds (log)")
    damping: Pair = knob((0.85, 0.98), "range of the share of its velocity that a ball keeps in a second (log)")
    elasticity: Pair = knob((0.2, 0.9), "range of the coefficient of restitution in training worlds (log)")
    dt: float = knob(
        0.04, "time between frames; at the log's 1/60, flights are straight; scene=log decides it", unit="s", gt=0, le=1
    )
    frames: int = knob(
        40, "frames of an episode; scene=log decides it: seen + horizon (log: 300, of which 20 used)", ge=2, le=1000
    )
    seen: int = knob(10, "frames of a window that are given (log: 10)", unit="frames", ge=2, le=200)
    horizon: int = knob(10, "frames of a window that are to be predicted (log: 10)", unit="frames", ge=1, le=200)
    common: int = knob(
        0,
        "the first frame that is predicted, at least seen, so that those who see different numbers of frames predict "
        "the same; 0: seen",
        ge=0,
        le=1000,
    )
    stride: int = knob(5, "frames between the beginnings of an episode's windows", unit="frames", ge=1, le=1000)
    substeps: int = knob(4, "steps of the simulator in a frame", ge=1, le=1000)
    episodes: int = knob(2400, "training episodes (log: 6798)", ge=1, le=10**6)
    scored: int = knob(256, "episodes inside the training ranges, for validation and for test", ge=1, le=10**5)
    each: int = knob(32, "episodes of each other regime, for validation and for test", ge=1, le=10**5)
    data_seed: int = knob(0, "seed of all episodes", ge=0, le=2**63 - 1)
    randomised: int = knob(
        0, "training episodes of randomised worlds, of which stages draw rows by `randomise`; 0: none", ge=0, le=10**6
    )
    width_of_randomisation: float = knob(
        0.3, "randomised worlds have each parameter multiplied by 1 - this to 1 + this (log: 0.3)", gt=0, lt=1
    )
    layout: Literal["paired", "logged"] = knob(
        "paired",
        "a token for each frame seen and guess at one ahead together; or the log's, whose tokens are its 25 features "
        "of the frames seen",
    )
    target: Literal["raw", "ballistic", "reflected"] = knob(
        "reflected",
        "what the network adds to: the mean state, free flight, or flight reflected at the walls (log: raw)",
    )
    flight_gravity: Literal["given", "estimated"] = knob(
        "given", "gravity of that flight: the world's, or as the frames seen tell it"
    )
    world_given: bool = knob(True, "the network reads the world's parameters (log: no)")
    width: int = knob(64, "width of tokens (log: 256)", ge=2, le=2048)
    layers: int = knob(2, "blocks of attention and perceptron (log: 6)", ge=1, le=48)
    heads: int = knob(4, "heads of the attention (log: 8)", ge=1, le=64)
    expansion: int = knob(2, "inner width of the perceptrons over width (log: 4)", ge=1, le=16)
    dropout: float = knob(0.0, "share of each residual that training drops (log: 0.1)", ge=0, lt=1)
    precision: Precision = knob("float32", PRECISION)
    recompute: bool = knob(False, RECOMPUTE)
    units: Literal["normalised", "raw"] = knob(
        "normalised", "units of features in the log's layout: of the training rows, or raw (log)"
    )
    batch: int = knob(128, "rows of a step (log: 32)", unit="rows", ge=1, le=2**16)
    symmetries: bool = knob(
        True, "rows come with their balls in a random order and mirrored from left to right at random (log: no)"
    )
    lr: float = knob(3e-3, "AdamW learning rate at its highest (log: 1e-3)", gt=0, le=1)
    schedule: Literal["cosine", "constant"] = knob(
        "cosine", "cosine falls to 0 (Loshchilov and Hutter 2017); constant stays (log); stages multiply it"
    )
    warmup: float = knob(0.02, "share of the budget over which lr rises from 0 (log: 0)", ge=0, lt=1)
    weight_decay: float = knob(0.0, "AdamW decoupled decay (log: 0)", ge=0, le=1)
    clip: float = knob(0.0, "bound on the norm of the gradient; 0: none (log)", ge=0, le=1e6)
    stages: Stages = knob(
        ("joint:1",),
        "curriculum of weights `energy` and `momentum`, shares of rows `randomise` and `edge`, and `contacts`, the "
        f"kinds of windows; {VOCABULARY.help}",
    )
    balance: Literal["start", "relobralo", "none"] = knob(
        "start",
        "factors on the loss terms: 1 over their values before training; ReLoBRaLo (Bischof and Kraus 2021); "
        "none: energies in J^2 swamp the rest (log)",
    )
    slices: Literal["velocities", "log"] = knob(
        "velocities", "what the physics terms take for velocities; log: features 7 to 12, which are mostly other things"
    )
    randomisation: Literal["worlds", "unused"] = knob(
        "worlds", "`randomise` draws rows of randomised worlds; unused: numbers are drawn that nothing reads (log)"
    )
    focus: Literal["edge", "unread"] = knob(
        "edge", "`edge` draws rows of worlds near the edge; unread: the stage says so and nothing reads it (log)"
    )

    @pydantic.model_validator(mode="after")
    def _consistent(self) -> PhysicsConfig:
        if self.width % self.heads:
            raise ValueError(f"heads: {self.heads} do not divide a width of {self.width}")
        if self.scene == "log":
            self._refuse_what_the_logs_scene_decides()
        _ = self.setting  # which refuses what cannot be simulated
        if self.layout == "logged":
            self._refuse_in_the_logs_layout()
        elif self.units == "raw":
            raise ValueError("units: only layout=logged has features that can stay raw")
        elif self.slices == "log":
            raise ValueError("slices: only layout=logged predicts the features that the log's slices take")
        curriculum = self.curriculum
        if self.slices == "log" and not any(
            stage.numbers["energy"] or stage.numbers["momentum"] for stage in curriculum.stages
        ):
            raise ValueError("slices: has no effect while no stage has energy or momentum")
        for stage in curriculum.stages:
            if stage.numbers["randomise"] and self.randomisation == "worlds" and not self.randomised:
                raise ValueError(f"randomised: must be above 0, as the stage {stage.name} draws rows of such worlds")
            if stage.numbers["randomise"] + stage.numbers["edge"] > 1:
                raise ValueError(f"stages: {stage.name}: randomise and edge are shares of the rows, together at most 1")
            if "all" in (words := stage.choices["contacts"]) and len(words) > 1:
                raise ValueError(f"stages: {stage.name}: contacts: all leaves nothing to add")
        return self

    def _refuse_what_the_logs_scene_decides(self) -> None:
        """Refuses values that would be ignored; a default cannot be told from none."""
        knobs: dict[str, Any] = {field.name: field.default for field in fields(self)}
        for name in ("dt", "frames", "stride"):
            if getattr(self, name) != knobs[name].default:
                raise ValueError(f"{name}: scene=log decides it, so it must stay away")

    def _refuse_in_the_logs_layout(self) -> None:
        if (self.fewest, self.balls) != (3, 3):
            raise ValueError("layout: logged is made for 3 balls, so balls and fewest must be 3")
        if self.seen != self.horizon:
            raise ValueError(
                f"horizon: must equal seen={self.seen} in layout=logged, whose output is a frame for each seen"
            )
        if self.target != "raw":
            raise ValueError("target: layout=logged predicts features as they are, so it must be raw")
        if self.world_given:
            raise ValueError("world_given: layout=logged has no place for a world's parameters, so it must be false")

    @property
    def curriculum(self) -> Curriculum:
        """The stages."""
        return Curriculum.of(self.stages, VOCABULARY)

    @property
    def training(self) -> Ranges:
        """The ranges of the training worlds."""
        return Ranges(self.gravity, self.friction, self.damping, self.elasticity)

    @property
    def setting(self) -> Setting:
        """What the data is made of.

        Raises:
            ConfigError: for what cannot be, such as balls that do not fit.
        """
        log = self.scene == "log"
        scene = log_setting() if log else Setting(dt=self.dt, stride=self.stride)
        return replace(
            scene,
            frames=(self.common or self.seen) + self.horizon if log else self.frames,
            fewest=self.fewest,
            balls=self.balls,
            substeps=self.substeps,
            seen=self.seen,
            horizon=self.horizon,
            common=self.common,
            training=self.training,
            train=self.episodes,
            scored=self.scored,
            each=self.each,
            seed=self.data_seed,
        )

    @property
    def pairs(self) -> int:
        """The number of pairs of balls."""
        return self.balls * (self.balls - 1) // 2
