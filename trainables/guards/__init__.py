"""Guards: small objects that watch every trial of every family for ways in which its score could mislead."""

from __future__ import annotations

from trainables.guards.guard import Guard

__all__ = ["every_guard"]


def every_guard() -> list[Guard]:
    """A fresh one of each, for one trial."""
    return []
