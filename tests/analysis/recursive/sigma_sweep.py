"""Made-up sigma_bands sweeps: a confirmed finalist in each arm, whose replicates solve boards or do not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from leadline import Sweep
from leadline.engine import options
from leadline.ledger.history import Baseline, History, Trial
from leadline.ledger.settings import Settings
from leadline.measure import Measure, Report
from leadline.statistics import mean_over_units
from leadline.storage import Folder
from search_spaces.sigma_bands.recursive import MATCHED
from sweeps.sigma_bands import STUDY
from trainables.recursive.metrics import LADDER, rung

Array = npt.NDArray[np.float64]
CONTROL, NOISY = MATCHED[:2]
BOARDS = 256


def solved(share: float, seed: int, flipped: float = 0.02, boards: int = BOARDS) -> Array:
    """Which boards a replicate solves, float64 [boards]: the same hard ones for all, but for a
    share that its seed flips.
    """
    hard = np.random.default_rng(0).random(boards)
    luck = np.random.default_rng(seed).random((2, boards))
    return np.where(luck[0] < flipped, luck[1] < share, hard < share).astype(np.float64)


def made(
    shares: Mapping[str, float] | None = None,
    replicates: int = 5,
    boards: int = BOARDS,
    family: str = "trm",
    flipped: float = 0.02,
    least: int = 100,
) -> Sweep:
    """A sweep whose arms solve these shares of the boards; nothing is trained. Success falls along
    the ladder of sigmas.

    It claims from fewer boards than the study does, unless `least` says otherwise: a bootstrap of
    2,048 takes a third of a second.
    """
    shares = shares or {CONTROL: 0.6, NOISY: 0.6}
    settings = options.settings(STUDY, options.parse(STUDY, ["--family", family, f"arm={','.join(shares)}"], ""))
    history = History(Settings.from_dict({**settings.to_dict(), "least_units": least}))
    for stratum, share in shares.items():
        finalist = _add(history, stratum, None, _measures("validation", share, 0, 512, flipped), 0)
        for seed in range(1, replicates + 1):
            _add(
                history,
                stratum,
                finalist,
                _measures("test", share, seed + 100 * len(history.trials), boards, flipped),
                seed,
            )
        history.baselines.append(Baseline("copy the clues", stratum, {"test/exact": mean_over_units(np.zeros(boards))}))
    return Sweep("made", Folder.at("/nowhere"), history)


def _measures(split: str, share: float, seed: int, boards: int, flipped: float) -> dict[str, Measure]:
    ladder = {rung(sigma): solved(share * (1 - step / 8), seed, flipped, boards) for step, sigma in enumerate(LADDER)}
    robust = np.mean(list(ladder.values()), axis=0)
    exact = solved(share, seed, flipped, boards)
    return {
        f"{split}/{name}": mean_over_units(values)
        for name, values in {"exact": exact, "robust": robust, **ladder}.items()
    }


def _add(history: History, stratum: str, of: int | None, measures: dict[str, Measure], seed: int) -> int:
    number, budget = len(history.trials), history.settings.budget
    config: dict[str, Any] = {"seed": seed, "batch": 16, "steps": 1024}
    trial = Trial(number, stratum, "search" if of is None else "replicate", of, {}, config, "finished")
    trial.reports.append(Report(1024, budget, 1.0, 0.1, measures))
    history.trials[number] = trial
    return number
