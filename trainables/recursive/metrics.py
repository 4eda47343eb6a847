"""The metrics of a recursive model, as they are declared; `scoring` has their values.

They are whole boards right from the clean start, the same from perturbed ones, and what Q says.
"""

from __future__ import annotations

from leadline.measure import Metric, Series
from trainables.puzzles import votes

__all__ = [
    "CLEAN",
    "COLLAPSE",
    "EXPONENTS",
    "EXPONENT_BOARDS",
    "LADDER",
    "METRICS",
    "PROBED",
    "START_STEPS",
    "UNIT",
    "rung",
]

LADDER = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
"""The standard deviations at which the basin of a solution is probed, on both latent states."""
PROBED = 64
"""The number of validation boards that are rolled out from perturbed starts too.

Of the test split all are.
"""
EXPONENTS = 2
EXPONENT_BOARDS = 16


def rung(sigma: float) -> str:
    """Returns the name of the metric at a step of the ladder."""
    return f"success_{sigma:.0e}"


def _basin(sigma: float) -> Series:
    """Returns the place of the metric at `sigma` among the others of the ladder."""
    return Series("success", sigma, label=f"{sigma:.0e}", doc="where a line falls, the basin ends")


UNIT = "boards"
"""The independent unit: a board or, where ARC has several of one task, the task."""

METRICS = (
    Metric(
        "exact",
        "max",
        UNIT,
        "share of boards whose every cell is right, from the clean start, after halt_max_steps segments; "
        "of tasks that are trained on; with ARC's inductive protocol none is, and it is of new ones",
    ),
    Metric(
        "exact_new",
        "max",
        "tasks",
        "exact on tasks that are never trained on, each of which is one unit, where demonstrations show them",
        optional=True,
    ),
    Metric("shape", "max", UNIT, "share of answers whose grid has the right height and width", optional=True),
    *votes.vote_metrics(UNIT),
    Metric(
        "robust",
        "max",
        UNIT,
        f"share of perturbed starts from which the whole board is right, mean over the ladder of sigmas; "
        f"on {PROBED} validation boards",
        optional=True,
    ),
    *(
        Metric(
            rung(sigma),
            "max",
            UNIT,
            f"the same at sigma {sigma:g} on z_H and z_L",
            series=_basin(sigma),
            optional=True,
        )
        for sigma in LADDER
    ),
    Metric("accuracy", "max", UNIT, "share of cells that are right, clues among them, from the clean start"),
    Metric(
        "q_accuracy",
        "max",
        UNIT,
        "share of boards of which Q-halt says truly whether they are right, after the last segment",
    ),
    Metric(
        "halt_steps",
        "min",
        UNIT,
        "segments after which Q would halt, at most halt_max_steps",
        role="descriptive",
    ),
    *(
        Metric(
            f"lambda{i}",
            "min",
            UNIT,
            f"largest local Lyapunov exponent, number {i}, of the latent map, per segment; on {EXPONENT_BOARDS} boards",
            role="descriptive",
            optional=True,
        )
        for i in range(1, EXPONENTS + 1)
    ),
)
CLEAN = ("exact", "accuracy", "q_accuracy", "halt_steps")
"""The metrics of one rollout of each board from the clean start, and of grids also `shape`."""
COLLAPSE = (
    Metric(
        "context_spread",
        "max",
        "boards",
        f"variance of the context between boards, as a share of its mean square, on at most {PROBED} boards; "
        "0: collapsed, the encoder says the same of all",
        role="descriptive",
        optional=True,
    ),
    Metric(
        "context_between",
        "max",
        "boards",
        f"variance of the context between tasks over that within them, on at most {PROBED} boards; "
        "by chance (tasks - 1) / (boards - tasks); where the puzzle names a board's task and some have several boards",
        role="descriptive",
        optional=True,
    ),
    Metric(
        "exact_exchanged",
        "min",
        UNIT,
        "share of boards that are right although each is shown the demonstrations of the next; "
        "at chance: they decide; as high as exact: they are not used",
        role="descriptive",
        optional=True,
    ),
    Metric(
        "chance",
        "min",
        UNIT,
        "chance level of exact_exchanged: what it is where every board is answered as its demonstrations say, "
        "as the next board's rule may have the same answer; of ARC's tasks, which are no functions, the share "
        "of boards whose next is of the same task",
        role="descriptive",
        optional=True,
    ),
)
"""The metrics of an encoder's context."""
START_STEPS = Metric(
    "start_steps",
    "min",
    "optimizer steps",
    "optimizer steps that the checkpoint had which a trial began with (`start`); no part of its budget",
    role="descriptive",
    optional=True,
)
"""What a start brought, beside what a trial spends itself."""
