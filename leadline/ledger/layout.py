"""Where things lie in a sweep's folder."""

from __future__ import annotations

__all__ = ["log_name", "trial_folder"]


def trial_folder(number: int) -> str:
    """The folder of a trial's attempts, below the sweep's, as in `trials/0007`."""
    return f"trials/{number:04d}"


def log_name(rank: int) -> str:
    """The log of a worker in its attempt's folder: `log.txt` of the first, then `log-1.txt`."""
    return f"log-{rank}.txt" if rank else "log.txt"
