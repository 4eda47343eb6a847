"""The configurations of the recursive families.

"HRM" is Wang et al. 2025 (arXiv 2506.21734; github sapientinc/HRM, 42410da), "TRM" is
Jolicoeur-Martineau 2025 (arXiv 2510.04871; github SamsungSAILMontreal/TinyRecursiveModels,
e7b6871), "log" the trajectory augmentation notes (git.blackhao.com/rrm.git, 66e0d8b).
"""

from __future__ import annotations

import math
from typing import Literal

import pydantic

from leadline.config import Floats, configuration, knob
from leadline.curriculum import Curriculum, Stages, Vocabulary
from leadline.training.precision import RECOMPUTE, Precision
from trainables.puzzles.config import BoardConfig, Conditions

__all__ = ["STAGES", "ETRMConfig", "HRMConfig", "RecursiveConfig", "TRMConfig"]

STAGES = Vocabulary(numbers={"noise": (0.0, 1.0)}, metrics=("exact", "robust"))
"""What a stage sets: the noise, as a share of what the configuration's fields say."""

_APPLY: Conditions = (
    (
        lambda c: c.mode != "none",
        "with mode=none",
        ("k", "location", "noise", "sigma_min", "sigma_max", "sigmas", "ramp", "stages", "p_clean"),
    ),
    (lambda c: not c.stages, "with stages", ("ramp",)),
    (lambda c: c.mode != "single_perturbed_ce", "with mode=single_perturbed_ce", ("k",)),
    (lambda c: c.noise == "grid", "without noise=grid", ("sigmas",)),
    (lambda c: c.noise == "loguniform", "without noise=loguniform", ("sigma_min",)),
    (lambda c: c.noise != "grid", "with noise=grid", ("sigma_max",)),
    (lambda c: c.rollout == "serial_act", "without rollout=serial_act", ("explore",)),
    (lambda c: c.schedule == "cosine", "without schedule=cosine", ("lr_min",)),
    (lambda c: c.positions == "rope", "without positions=rope", ("rope_theta",)),
    (lambda c: c.task_embedding > 0, "without an embedding of tasks", ("puzzle_lr", "puzzle_weight_decay")),
)
"""The conditions under which the fields that the families share have an effect."""

_ENCODER_APPLIES: Conditions = (
    (
        lambda c: c.encoder != "lookup",
        "with encoder=lookup",
        ("pooling", "paired", "encoder_layers", "set_layers", "freeze_encoder", "encoding"),
    ),
    (lambda c: c.encoder == "variational", "without encoder=variational", ("kl_weight",)),
    (lambda c: not c.freeze_encoder, "with freeze_encoder", ("kl_weight",)),
    (lambda c: c.pooling != "none", "with pooling=none", ("set_layers",)),
    (lambda c: c.pooling != "none" or c.encoder == "lookup", "with pooling=none", ("context_tokens",)),
)
"""The same for the fields that ETRM alone has."""


@configuration
class RecursiveConfig(BoardConfig):
    """The settings that HRM and TRM share.

    A segment is one pass through all cycles, after which a board may halt.
    """

    hidden: int = knob(64, "width (HRM, TRM: 512)", ge=2, le=4096)
    heads: int = knob(4, "attention heads, which divide the width into parts of even size (HRM, TRM: 8)", ge=1, le=64)
    h_cycles: int = knob(2, "updates of z_H in a segment (HRM: 2, TRM: 3)", ge=1, le=64)
    l_cycles: int = knob(2, "updates of z_L before each of z_H (HRM: 2, TRM: 6 on Sudoku)", ge=1, le=64)
    expansion: float = knob(
        4.0, "SwiGLU's inner width: 2/3 of this times the width, rounded up to whole multiples of round_to", gt=0, le=64
    )
    round_to: int = knob(
        256, "see expansion; below a width of 96 or so, 256 decides alone (HRM, TRM: 256)", ge=1, le=1024
    )
    positions: Literal["rope", "learned", "none"] = knob(
        "learned",
        "position encoding; small networks on small boards learn far faster with places of their own "
        "(HRM, TRM: rope; TRM's mixer: none)",
    )
    rope_theta: float = knob(10000.0, "base of rope's wavelengths (Su et al. 2021)", gt=1)
    puzzle_emb: int = knob(
        0, "numbers of the puzzle embedding, trained by sign-SGD; 0: none (HRM, TRM: the width)", ge=0, le=65536
    )
    halt_max_steps: int = knob(4, "most segments that a board is given (HRM, TRM: 16)", unit="segments", ge=1, le=64)
    explore: float = knob(
        0.1,
        "chance that a board must think at least a random number of segments; streaming alone (HRM, TRM: 0.1)",
        ge=0,
        le=1,
    )
    loss: Literal["stablemax", "softmax"] = knob(
        "stablemax", "cross entropy (HRM, TRM: stablemax, Prieto et al. 2025, in float64)"
    )
    precision: Precision = knob(
        "float32", "of matrix products; z is carried in float32 by either (HRM, TRM: z too in bfloat16)"
    )
    recompute: bool = knob(False, RECOMPUTE)

    batch: int = knob(
        64, "boards of a step; K trajectories of each are trained (HRM 384, TRM 768)", unit="boards", ge=1, le=2**16
    )
    optimizer: Literal["adam_atan2", "adamw"] = knob(
        "adam_atan2", "Everett et al. 2024 (HRM, TRM), or Loshchilov and Hutter 2019"
    )
    lr: float = knob(2e-3, "learning rate at its highest (HRM 7e-5, TRM 1e-4)", gt=0, le=1)
    weight_decay: float = knob(0.1, "decoupled decay (HRM, TRM: 1 on Sudoku, 0.1 on ARC)", ge=0, le=10)
    clip: float = knob(0.0, "bound on the gradient's norm; 0: none (HRM, TRM: none; ETRM: 1)", ge=0, le=1e6)
    puzzle_lr: float = knob(
        1e-4, "of sign-SGD on the puzzle embedding (HRM, TRM: 1e-4 on Sudoku, 1e-2 on ARC)", gt=0, le=1
    )
    puzzle_weight_decay: float = knob(
        1.0, "decoupled decay of the puzzle embedding (HRM, TRM: as weight_decay)", ge=0, le=10
    )
    warmup: float = knob(
        0.04, "share of the budget over which the learning rate rises (log: 2000 of 50000 steps)", ge=0, le=1
    )
    schedule: Literal["constant", "cosine"] = knob("constant", "after the warm-up (HRM, TRM: constant)")
    lr_min: float = knob(0.1, "where schedule=cosine ends, as a share of lr", ge=0, le=1)
    ema: float = knob(
        0.99,
        "decay of the weights' moving average, which is evaluated; 0: the weights themselves (TRM: 0.999)",
        ge=0,
        lt=1,
    )
    start: str = knob(
        "",
        "checkpoint to begin from: folder of a trial, or of one checkpoint (log: half-trained models); "
        "its weights are fine-tuned; etrm takes the decoder of one of trm, too",
    )

    mode: Literal["none", "single_perturbed_ce", "multi_perturbed_ce"] = knob(
        "none", "no noise; every trajectory perturbed; or one clean and K-1 perturbed (log)"
    )
    k: int = knob(
        4,
        "trajectories of each board under multi_perturbed_ce, the clean one among them (log: 4)",
        unit="trajectories",
        ge=1,
        le=64,
    )
    rollout: Literal["serial_act", "parallel_fixed", "act_mask"] = knob(
        "serial_act",
        "streaming, a segment a step, K carries in turn; "
        "or B*K boards at once, all segments counting, or those up to a halt (log)",
    )
    location: Literal["both", "z_H", "z_L"] = knob("both", "latent state that is perturbed (log: both)")
    noise: Literal["fixed", "grid", "loguniform"] = knob(
        "loguniform", "of sigma: always sigma_max; one of sigmas; or log-uniform from sigma_min to sigma_max"
    )
    sigma_min: float = knob(
        3e-5, "standard deviation of the noise, at least; noise=loguniform alone (log: 3e-5)", gt=0, le=100
    )
    sigma_max: float = knob(
        3e-3, "standard deviation, at most; noise=fixed: always (log: 3e-3; fixed runs: 1e-3)", gt=0, le=100
    )
    sigmas: Floats = knob((1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2), "standard deviations of noise=grid (log)")
    ramp: float = knob(
        0.1, "share of the budget over which the noise grows from 0, linearly (log: 5000 of 50000 steps)", ge=0, le=1
    )
    stages: Stages = knob(
        (),
        "curriculum in place of ramp: `noise`, the share of sigma, as in clean:1/4,noisy:3/4:noise=1:ramp=0.1 "
        f"(ours; the log wished it); {STAGES.help}",
    )
    p_clean: float = knob(0.0, "chance that a trajectory that may be perturbed is not (log: proposed)", ge=0, lt=1)

    @property
    def _conditions(self) -> Conditions:
        """The conditions under which fields have an effect."""
        return (*super()._conditions, *_APPLY)

    @property
    def probes_dynamics(self) -> bool:
        """Whether scoring looks at perturbed starts and exponents, several times the clean cost."""
        return True

    @property
    def task_embedding(self) -> int:
        """The numbers of each puzzle identifier's embedding, which sign-SGD trains; 0: none."""
        return self.puzzle_emb

    @property
    def curriculum(self) -> Curriculum | None:
        """The stages, if there are any."""
        return Curriculum.of(self.stages, STAGES) if self.stages else None

    @property
    def trajectories(self) -> int:
        """The number K of trajectories of each board."""
        return self.k if self.mode == "multi_perturbed_ce" else 1

    @property
    def segments(self) -> int:
        """The most segments of one trajectory in one optimizer step."""
        return 1 if self.rollout == "serial_act" else self.halt_max_steps

    @property
    def samples_per_board(self) -> int:
        """The cost of a board in one optimizer step: trajectories times segments."""
        return self.trajectories * self.segments

    @property
    def inner(self) -> int:
        """The inner width of SwiGLU."""
        return self.inner_of(self.hidden)

    def inner_of(self, width: int) -> int:
        """Returns SwiGLU's inner width for a mixer of another width, such as the sequence."""
        return math.ceil(round(self.expansion * width * 2 / 3) / self.round_to) * self.round_to

    @property
    def prefix(self) -> int:
        """The number of tokens of the puzzle embedding."""
        return -(-self.puzzle_emb // self.hidden)

    @pydantic.model_validator(mode="after")
    def _consistent(self) -> RecursiveConfig:
        _ = self.curriculum  # which refuses stages that cannot be
        if self.task == "arc" and self.protocol == "inductive" and not self.reads_demonstrations:
            raise ValueError("protocol: must be transductive, as nothing tells this network of a task not trained on")
        embedded = 1 + (self.augmentations if self.task == "arc" and self.augment else 0)
        if self.task_embedding and self.votes > embedded:
            what = "as each image is answered under an embedding of its own, and there are no more"
            raise ValueError(f"votes: at most {embedded}, {what} (got {self.votes})")
        if self.hidden % self.heads or self.hidden // self.heads % 2:
            raise ValueError(f"heads: must divide the width, {self.hidden}, into parts of even size (got {self.heads})")
        if self.batch > self.train_boards:
            raise ValueError(f"batch: must be at most train_boards, {self.train_boards} (got {self.batch})")
        if self.mode == "multi_perturbed_ce" and self.k < 2:
            raise ValueError(f"k: must be at least 2 with mode=multi_perturbed_ce (got {self.k})")
        if self.noise == "loguniform" and self.sigma_min >= self.sigma_max:
            raise ValueError(f"sigma_min: must be below sigma_max, {self.sigma_max} (got {self.sigma_min})")
        if self.noise == "grid" and not self.sigmas:
            raise ValueError("sigmas: noise=grid needs at least one")
        return self


@configuration
class HRMConfig(RecursiveConfig):
    """The settings of HRM: two stacks, of which L updates z_L and H updates z_H.

    Only the last application of each stack carries gradient.
    """

    h_layers: int = knob(1, "blocks of the H stack (HRM: 4)", ge=1, le=64)
    l_layers: int = knob(1, "blocks of the L stack (HRM: 4)", ge=1, le=64)
    q_continue: bool = knob(
        True, "learn the value of going on too, from a second forward pass; off: halt where Q-halt is above 0"
    )


@configuration
class TRMConfig(RecursiveConfig):
    """The settings of TRM: one stack updates both states.

    The whole last cycle carries gradient.
    """

    l_cycles: int = knob(
        2,
        "updates of z_L before each of z_H (TRM: 6 on Sudoku); 0: no z_L, z_H := stack(z_H + board), "
        "which with one cycle and one segment is a plain transformer",
        ge=0,
        le=64,
    )
    l_layers: int = knob(1, "blocks of the stack (TRM: 2)", ge=1, le=64)
    mlp_t: bool = knob(
        False, "mix tokens by a SwiGLU over the board instead of attention; needs positions=none (TRM on Sudoku)"
    )
    puzzle_tokens: int = knob(
        0, "tokens of the puzzle embedding, zero-padded; 0: as many as it fills (TRM: 16)", ge=0, le=256
    )

    @property
    def prefix(self) -> int:
        """The number of tokens of the puzzle embedding."""
        return self.puzzle_tokens or super().prefix

    def unused(self) -> list[str]:
        """Returns the fields without effect, and noise on a z_L that there is not."""
        lost = self.mode != "none" and not self.l_cycles and self.location != "z_H"
        noise = [f"location={self.location}: noise on z_L has no effect with l_cycles=0"] if lost else []
        return [*super().unused(), *noise]

    @pydantic.model_validator(mode="after")
    def _mixes(self) -> TRMConfig:
        if self.mlp_t and self.positions != "none":
            raise ValueError(f"positions: must be none with mlp_t, whose mixer knows its places (got {self.positions})")
        if self.puzzle_tokens and self.puzzle_emb > self.puzzle_tokens * self.hidden:
            raise ValueError(
                f"puzzle_emb: must fit {self.puzzle_tokens} tokens of {self.hidden} (got {self.puzzle_emb})"
            )
        if self.puzzle_tokens and not self.puzzle_emb:
            raise ValueError("puzzle_tokens: has no effect with puzzle_emb=0")
        return self


@configuration
class ETRMConfig(TRMConfig):
    """The settings of ETRM: TRM whose puzzle embedding an encoder of demonstrations replaces.

    "ETRM" is github bdsaglam/etrm (85da7e2).
    """

    task: Literal["rules", "arc"] = knob("rules", "a puzzle whose boards have demonstrations, which are encoded")
    size: int = knob(
        5, "side of the canvas; tasks with larger grids are left out (ETRM: 30)", unit="cells", ge=4, le=61
    )
    demonstrations: int = knob(2, "pairs of the task that are shown beside a board (ETRM: up to 10)", ge=1, le=64)

    encoder: Literal["standard", "variational", "lookup"] = knob(
        "standard",
        "of demonstrations; variational: a mean and a variance for each number of the context (ETRM: both); "
        "lookup: none, each task that is trained on has a context of its own, as in TRM",
    )
    pooling: Literal["mean", "attention", "none"] = knob(
        "mean",
        "what the context's queries attend to: the mean of each demonstration (ETRM), or all of its tokens; "
        "none: no queries, all tokens stand ahead of the board; with l_cycles=0, one cycle and one segment a plain "
        "transformer",
    )
    paired: bool = knob(
        False,
        "one token for each cell of a demonstration, the sum of what its input and its output have there, which is "
        "learnt far faster; off: a token for each of the two (ETRM)",
    )
    encoder_layers: int = knob(2, "blocks that each demonstration goes through (ETRM: 2)", ge=0, le=64)
    set_layers: int = knob(1, "blocks in which the queries attend to all demonstrations (ETRM: 1)", ge=1, le=64)
    context_tokens: int = knob(16, "queries: tokens ahead of the board (ETRM: 16)", ge=1, le=256)
    kl_weight: float = knob(
        1e-4, "weight of the context's divergence from a unit normal, in nats, with encoder=variational", ge=0, le=10
    )
    freeze_encoder: bool = knob(False, "leave the encoder as it was at the start (ETRM: for pretrained ones)")
    freeze_decoder: bool = knob(
        False, "leave all but the context as `start` has it, a checkpoint of trm or etrm (the log's O and E runs)"
    )
    encoding: Literal["reencode", "fct", "cached"] = knob(
        "reencode",
        "when demonstrations are encoded: at every call, with the full gradient (ETRM); "
        "fct: for each segment of rollout=parallel_fixed, fixed computation time (ETRM-FCT); "
        "cached: BROKEN ON PURPOSE, a control: only where a slot takes another board, and detached after that, "
        "so that the encoder starves of gradient (the log's E2 and E3)",
    )

    @property
    def probes_dynamics(self) -> bool:
        """Whether starts are perturbed in training: the question of an encoder is another one."""
        return self.mode != "none"

    @property
    def _conditions(self) -> Conditions:
        """The conditions under which fields have an effect."""
        return (*super()._conditions, *_ENCODER_APPLIES)

    @property
    def prefix(self) -> int:
        """The number of tokens of the context."""
        whole = self.pooling == "none" and self.encoder != "lookup"
        return self.puzzle.demonstrations * self.shown_tokens if whole else self.context_tokens

    @property
    def shown_tokens(self) -> int:
        """The number of tokens of one demonstration."""
        return self.tokens if self.paired else 2 * self.tokens

    @property
    def reads_demonstrations(self) -> bool:
        """Whether the network looks at demonstrations, rather than a task's own context."""
        return self.encoder != "lookup"

    @property
    def task_embedding(self) -> int:
        """The numbers of each task's own context, where one is looked up; else 0."""
        return self.prefix * self.hidden if self.encoder == "lookup" else 0

    @property
    def encodings(self) -> int:
        """The number of times that a trajectory's demonstrations are encoded in a call, at most."""
        return self.halt_max_steps if self.encoding == "fct" else 1

    @pydantic.model_validator(mode="after")
    def _encodes(self) -> ETRMConfig:
        if self.puzzle_emb:
            raise ValueError(f"puzzle_emb: must be 0, as the encoder takes its place (got {self.puzzle_emb})")
        if self.encoding == "fct" and self.rollout != "parallel_fixed":
            raise ValueError(f"rollout: must be parallel_fixed with encoding=fct (got {self.rollout})")
        if self.encoding == "cached" and self.rollout != "serial_act":
            raise ValueError(f"rollout: must be serial_act with encoding=cached (got {self.rollout})")
        if self.freeze_decoder and not self.start:
            raise ValueError("freeze_decoder: needs start, the checkpoint whose decoder is left as it is")
        if self.freeze_decoder and self.freeze_encoder and self.encoder != "lookup":
            raise ValueError("freeze_decoder: with freeze_encoder nothing would be trained")
        return self
