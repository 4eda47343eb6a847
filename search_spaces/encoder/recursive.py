"""Does an encoder of demonstrations learn rules, or tasks?

The arms are ways to tell a network which rule is meant.
"""

from __future__ import annotations

from typing import Any

from leadline import Contrast, Scale, Study

__all__ = ["ARMS", "STUDY", "space"]

_FRESH: dict[str, dict[str, Any]] = {
    "embedding": {"encoder": "lookup", "puzzle_lr": 1e-2},
    "reencode": {},
    "cached": {"encoding": "cached"},
    "fct": {"encoding": "fct", "rollout": "parallel_fixed"},
    "attention": {"pooling": "attention"},
    "plain transformer": {
        "pooling": "none",
        "encoder_layers": 0,
        "h_cycles": 1,
        "l_cycles": 0,
        "l_layers": 2,
        "halt_max_steps": 1,
    },
    "frozen": {"freeze_encoder": True},
    "variational": {"encoder": "variational"},
}
_BEGUN: dict[str, dict[str, Any]] = {"decoder": {}, "decoder frozen": {"freeze_decoder": True}}
ARMS: dict[str, dict[str, Any]] = {**{name: {**fields, "start": ""} for name, fields in _FRESH.items()}, **_BEGUN}
"""The arms by name.

`embedding` is TRM: each rule that is trained on has a context of its own. `cached` is the log's
broken encoder. `plain transformer` is two layers over all demonstrations, without recursion.
`decoder` and `decoder frozen` begin with the decoder of `start=CHECKPOINT`, of trm or of the arm
`embedding`, and train it further or leave it; no other arm has a start.
"""
DEFAULT = ("embedding", "reencode", "cached")
MARGINS = {"exact": 0.05}
"""The largest difference that does not matter, of whole grids right, of rules trained on."""

_GRIDS: dict[str, Any] = {
    "task": "rules",
    "size": 5,
    "train_rules": 12,
    "train_boards": 24_000,
    "demonstrations": 2,
    "paired": True,
    "hidden": 64,
    "heads": 4,
    "round_to": 64,
    "ema": 0.99,
    "batch": 32,
    "micro_batch": 0,
}
_SHORT: dict[str, Any] = {
    "loss": "softmax",
    "h_cycles": 1,
    "l_cycles": 2,
    "encoder_layers": 1,
    "schedule": "cosine",
    "lr_min": 0.0,
}
"""A network whose step takes a tenth of a second on one core."""
_FIRST: dict[str, Any] = {"lr": 2e-3, "l_layers": 1, "halt_max_steps": 2, "explore": 0.0, "pooling": "mean"}
"""What each arm tries first: few segments, with which encoders learn within minutes."""
_TINY: dict[str, Any] = {
    **_GRIDS,
    "train_rules": 4,
    "train_boards": 200,
    "validation_boards": 24,
    "test_boards": 100,
    "hidden": 16,
    "heads": 2,
    "round_to": 16,
    "batch": 8,
    "context_tokens": 4,
    "encoder_layers": 1,
}


def space(trial: Any, scale: str) -> dict[str, Any]:
    """Suggests fields of `ETRMConfig`: rate and depth, and what of the rest an arm leaves open.

    A board that is given several segments stays in its slot for as many steps. Fewer different
    boards are then seen, each several times in a row, which needs a smaller rate; one segment alone
    would leave nothing to cache.

    Args:
        trial: an object with Optuna's `suggest_*` methods.
        scale: "full" searches rates and limits for the published width.
    """
    full, arm = scale == "full", trial.fixed
    low, high = (5e-5, 5e-4) if full else (1e-3, 6e-3)
    found: dict[str, Any] = {
        "lr": trial.suggest_float("lr", low, high, log=True),
        # Powers of 2, so that a budget of samples x segments is a whole number of steps.
        "halt_max_steps": trial.suggest_categorical("halt_max_steps", [2, 4, 8, 16] if full else [2, 4]),
    }
    if not arm.get("start"):  # whose depth is the checkpoint's
        found["l_layers"] = trial.suggest_int("l_layers", 1, 2)
    if arm.get("encoder") != "lookup":
        found["pooling"] = trial.suggest_categorical("pooling", ["mean", "attention"])
    # One segment leaves nothing to explore, and nor does a fixed number of them.
    if arm.get("halt_max_steps") != 1 and arm.get("rollout") != "parallel_fixed":
        found["explore"] = trial.suggest_float("explore", 0.0, 0.5)
    return found


def _needs_start(strata: tuple[Any, ...]) -> dict[str, Any]:
    """Returns a start that is none, in whose place the arms that begin with one need `start=`."""
    return {"start": "CHECKPOINT"} if set(strata) & set(_BEGUN) else {}


STUDY = Study(
    name="encoder",
    question="Does an encoder of demonstrations learn rules, or tasks?",
    family="etrm",
    space=space,
    stratify="arm",
    arms=ARMS,
    shared=_needs_start,
    budget="samples",
    comparable=True,
    scales={
        "smoke": Scale(
            3, budget=384, grace=96, reduction=2, confirm=1, replicates=1, strata=DEFAULT, startup=1, fields=_TINY
        ),
        "laptop": Scale(
            9,
            budget=5 * 2**11,
            grace=5 * 2**10,
            reduction=2,
            confirm=1,
            replicates=5,
            strata=DEFAULT,
            startup=2,
            fields={**_GRIDS, **_SHORT, "validation_boards": 120, "test_boards": 240},
            enqueue={arm: ({**_FIRST, **ARMS[arm]},) for arm in ARMS},
        ),
        "full": Scale(
            96,
            budget=2**24,
            grace=2**20,
            reduction=2,
            confirm=1,
            replicates=5,
            strata=tuple(_FRESH),
            fields={
                **_GRIDS,
                "size": 10,
                "train_rules": 30,
                "validation_boards": 1024,
                "test_boards": 2048,
                "hidden": 512,
                "heads": 8,
                "round_to": 256,
                "batch": 256,
                "micro_batch": "auto",
                "h_cycles": 3,
                "l_cycles": 4,
                "ema": 0.999,
            },
        ),
    },
    contrasts=(Contrast("reencode", "embedding", MARGINS), Contrast("reencode", "cached", MARGINS)),
)
