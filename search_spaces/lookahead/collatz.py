"""How far must a Lyapunov network look ahead?

Lookahead itself is dealt, not searched: it is information, not a free knob.
"""

from __future__ import annotations

from typing import Any

__all__ = ["space"]


def space(trial: Any, scale: str) -> dict[str, Any]:
    """Suggests fields of `CollatzConfig`.

    Args:
        trial: an object with Optuna's `suggest_*` methods.
        scale: "full" searches around the log's own network, the others around one that trains in
            seconds.
    """
    full = scale == "full"
    large = [
        "1024,512,512,256,256,256,128,64,32",
        "2048,1024,1024,512,512,512,256,128,64",
    ]  # half of the log's widths, and these
    return {
        "lr": trial.suggest_float("lr", 1e-5 if full else 1e-4, 1e-3 if full else 1e-2, log=True),
        "layers": trial.suggest_categorical("layers", large if full else ["32,32", "64,64", "128,128"]),
        "margin": trial.suggest_float("margin", 0.003, 0.3, log=True),
        "hard_ratio": trial.suggest_float("hard_ratio", 0.3, 1.0),
    }
