"""What is killed, and when: a pure function of the seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

__all__ = ["SHORT", "Aim", "Kill", "Kind", "Victim", "dealt", "plan"]

Victim = Literal["trial", "driver", "machine", "parent", "raylet", "gcs_server", "store", "frozen store"]
"""A trial's process; the driver; all processes of the command at once; its parent alone; Ray's two;
the store's server, killed and
started again, or stopped and continued."""
Aim = Literal["", "upload", "ledger"]
"""A random instant; the middle of a checkpoint's upload; the middle of a write to the ledger."""
Kind = tuple[tuple[Victim, ...], Aim]

_WEIGHTS: dict[Kind, int] = {
    (("trial",), ""): 12,
    (("trial",), "upload"): 12,
    (("driver",), ""): 8,
    (("driver",), "ledger"): 8,
    (("machine",), ""): 4,
    (("machine",), "upload"): 4,
    (("machine",), "ledger"): 4,
    (("parent",), ""): 4,
    (("raylet",), ""): 7,
    (("gcs_server",), ""): 6,
    (("driver", "trial"), ""): 4,
    (("raylet", "gcs_server"), ""): 2,
    (("store",), ""): 6,
    (("store",), "upload"): 6,
    (("store",), "ledger"): 5,
    (("frozen store",), ""): 4,
    (("frozen store",), "upload"): 4,
    (("frozen store",), "ledger"): 4,
    (("driver", "store"), ""): 3,
    (("trial", "store"), "upload"): 3,
}
"""How often each kind is dealt, relative to each other."""

SHORT: tuple[Kind, ...] = (
    (("trial",), ""),
    (("trial",), "upload"),
    (("driver", "trial"), "ledger"),
    (("machine",), "upload"),
    (("raylet",), ""),
    (("gcs_server",), ""),
)

DELAY = 1.5
"""Most seconds between a report and a random instant."""
EARLY, EARLY_DELAY = 0.25, 8.0
"""The share of instants that do not wait for a report, so that starts are disturbed too, and the
most seconds since the last kill then.
"""
PAUSE = 10.0
"""Most seconds for which a store is away."""


@dataclass(frozen=True)
class Kill:
    """One blow, at one victim or several at the same time.

    Args:
        early: counted from the kill before; else from the next report that is recorded after it.
        delay: seconds to wait then.
        pause: seconds for which a store is away.
        pick: in [0, 1): which of several trials.
    """

    victims: tuple[Victim, ...]
    aim: Aim
    early: bool
    delay: float
    pause: float
    pick: float

    @property
    def stored(self) -> bool:
        """Whether the store is among the victims."""
        return bool({"store", "frozen store"} & {*self.victims})

    def __str__(self) -> str:
        return " and ".join(self.victims) + (f" ({self.aim})" if self.aim else "")


def dealt(generator: np.random.Generator, kills: int, *, server: bool) -> list[Kind]:
    """Kinds in the proportions of the weights, each rounded up or down by chance.

    Args:
        server: whether there is a store to kill.
    """
    kinds = {kind: weight for kind, weight in _WEIGHTS.items() if server or not {"store", "frozen store"} & {*kind[0]}}
    bounds = np.cumsum(list(kinds.values())) / sum(kinds.values())
    at = (generator.random() + np.arange(kills)) / kills
    return [list(kinds)[index] for index in np.searchsorted(bounds, at, side="right")]


def plan(generator: np.random.Generator, kinds: Sequence[Kind]) -> list[Kill]:
    """The kinds in random order, each with its instant."""
    found = []
    for index in generator.permutation(len(kinds)):
        victims, aim = kinds[index]
        early = not aim and bool(generator.random() < EARLY)
        delay, pause, pick = generator.random(3) * (EARLY_DELAY if early else DELAY, PAUSE, 1.0)
        found.append(Kill(victims, aim, early, float(delay), float(pause), float(pick)))
    return found
