"""Where things lie in a sweep's folder."""

from __future__ import annotations

__all__ = ["trial_folder"]


def trial_folder(number: int) -> str:
    """The folder of a trial's attempts, below the sweep's, as in `trials/0007`."""
    return f"trials/{number:04d}"
