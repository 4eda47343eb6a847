"""The race of a stratum's finalists: who gets the next confirmation run, and who is ahead.

The best value of a search is partly luck, the more so the more was searched. So several finalists
begin, and each next run goes to the one that is ahead or to its challenger, the one that is least
surely behind. Runs that have not ended count as if they would not change a mean, so that any number
can be trained at a time.

A search's own value counts as one more run. Who is ahead goes by validation alone: the test split
is scored by the same runs and chooses nothing. How often the best finalist is found, and how much
choosing flatters it, is measured in docs/search.md.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Racer", "field_size", "needed", "next_runner"]

FIELD = 2
"""How many finalists begin for each that `--confirm` asks for; more were no better, simulated."""


@dataclass(frozen=True)
class Racer:
    """One finalist; its values are smaller where they are better.

    Attributes:
        search: its value in the search.
        runs: those of its confirmation runs that have ended; infinite where a run was lost.
        running: its runs that have not ended.
    """

    search: float
    runs: tuple[float, ...] = ()
    running: int = 0

    @property
    def mean(self) -> float:
        """The mean of all values."""
        return (self.search + sum(self.runs)) / (1 + len(self.runs))

    @property
    def held(self) -> int:
        """Its confirmation runs, those that have not ended too."""
        return len(self.runs) + self.running


def field_size(confirm: int) -> int:
    """Returns how many finalists begin for so many that are paid for; one alone does not race."""
    return confirm * FIELD if confirm > 1 else confirm


def needed(racers: Sequence[Racer], paid: int, replicates: int) -> int:
    """Returns how many more runs there are at least; see `next_runner` for the arguments."""
    if not racers:
        return 0
    leader = min(racers, key=lambda racer: racer.mean)
    own = max(0, replicates - leader.held)
    rivals = sum(math.isfinite(racer.mean) for racer in racers if racer is not leader)
    return max(paid - sum(racer.held for racer in racers), own) if rivals else own


def next_runner(racers: Sequence[Racer], paid: int, replicates: int) -> int | None:
    """Returns the place of the finalist that gets the next run; None where no more are needed.

    Args:
        racers: the finalists, the best of the search first.
        paid: how many runs all of them get. There are more only where others have had them: the
            last of them may put another ahead, or a longer search bring one. There are fewer where
            all but one have lost a run.
        replicates: how many the one that is ahead has at the end; the last runs are kept for it.
    """
    left = needed(racers, paid, replicates)
    if not left:
        return None
    first = min(range(len(racers)), key=lambda place: racers[place].mean)
    leader = racers[first]
    others = [place for place in range(len(racers)) if place != first and math.isfinite(racers[place].mean)]
    if left <= replicates - leader.held or not others:
        return first

    def behind(place: int) -> float:
        """In standard errors, but for the scatter of one run, which all are taken to share."""
        other = racers[place]
        return (other.mean - leader.mean) / math.sqrt(1 / (1 + other.held) + 1 / (1 + leader.held))

    challenger = min(others, key=behind)
    return first if leader.held <= racers[challenger].held else challenger
