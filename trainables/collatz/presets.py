"""The log's runs 2 to 7 as configurations, and the results that the log gives for them.

Source: PROGRESS.md of github gabrielberger1000/collatz_lyapunov (04c9667), and the defaults of its
collatz.py. Fields here also set what its code does and its command line cannot say: its split
(`guard`), its sampler (`fresh`, `idle`) and its schedule (`plateau`).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from leadline.config import ConfigError
from trainables.collatz.config import CollatzConfig

__all__ = [
    "LAYERS",
    "LEAST_WIDTH",
    "LOGGED_RESULTS",
    "LOGGED_STEPS",
    "PRESETS",
    "RUNS",
    "STEPS",
    "LoggedResult",
    "logged",
]

STEPS = 100_000
LAYERS = (2048, 1024, 1024, 512, 512, 512, 256, 128, 64)
LEAST_WIDTH = 8
LOGGED_STEPS: Mapping[int, int] = MappingProxyType({111: 24, 27: 41, 703: 62, 26623: 113, 626331: 189})
"""The steps from each seed of the log's test to 1, on which its violations are counted."""

_MINING: dict[str, Any] = {"mine_every": 0.1}
RUNS: Mapping[int, Mapping[str, Any]] = MappingProxyType(
    {
        2: {"lookahead": 10, "ramp": 1.0, **_MINING},
        3: {"lookahead": 10, "ramp": 0.5, **_MINING},
        4: {"lookahead": 10, "ramp": 0.5, **_MINING, "t4": True},
        5: {"lookahead": 10, "ramp": 0.5},
        6: {"lookahead": 20, "ramp": 0.5},
        7: {"lookahead": 100, "ramp": 0.5},
    }
)
"""The settings in which the log's runs differ."""


def logged(run: int, scale: float = 1.0) -> CollatzConfig:
    """Returns the configuration of one of the log's runs.

    Args:
        run: 2 to 7. The log scored run 1 in another way.
        scale: shrinks the run: `scale` times the steps, and every width times the square root of
            `scale`, but at least 8. Parameters then shrink about as steps do. Batch, learning rate
            and all schedules, which are shares of the budget, stay. Small scales do not repeat the
            log: its learning rate then dies, by the same number of halvings, before much is learnt.

    Raises:
        ConfigError: for another run, or a scale outside (0, 1].
    """
    if run not in RUNS:
        raise ConfigError(f"preset: the log has runs {min(RUNS)} to {max(RUNS)} (got {run})")
    if not 0 < scale <= 1:
        raise ConfigError(f"scale: must be above 0 and at most 1 (got {scale})")
    steps = max(1, round(STEPS * scale))
    return CollatzConfig(
        layers=tuple(max(LEAST_WIDTH, round(width * math.sqrt(scale))) for width in LAYERS),
        steps=steps,
        eval_every=max(1, round(steps / 20)),
        batch=1024,
        lr=1e-3,
        schedule="plateau",
        patience=0.02,
        weight_decay=0.01,
        margin=0.05,
        hard_ratio=0.25,
        start_seeds=0,
        idle="27",
        anchor=1.0,
        anchor_decay_start=0.01,
        anchor_decay=0.05,
        anchor_min=0.0,
        mine_tolerance=0.0,
        pool=8192,
        fresh=True,
        guard="scored",
        population=True,
        **RUNS[run],
    )


PRESETS: Mapping[str, Callable[[float], CollatzConfig]] = MappingProxyType(
    {f"run{run}": functools.partial(logged, run) for run in RUNS}
)


@dataclass(frozen=True)
class LoggedResult:
    """The result of one run, as the log states it.

    Attributes:
        run: number of the run.
        date: as the log writes it; it says 2024 throughout, where its repository says 2025.
        epoch: the optimizer step of the row quoted here, the last that the log has.
        parameters: number of the network's parameters.
        each: violations by seed.
        worst: smallest margin by seed, for the seeds of which the log gives it.
        pass_rate: share of the 50,000 evaluation numbers with V(T n) < V(n), in percent, as are the
            next three.
        weighted: the same share, weighted by the orbit's excursion.
        growth: the share among the numbers with T(n) > n.
        growth_weighted: the weighted share among the numbers with T(n) > n.
        best: the fewest violations in any row of the log.
    """

    run: int
    date: str
    epoch: int
    parameters: int
    each: Mapping[int, int]
    worst: Mapping[int, float]
    pass_rate: float
    weighted: float
    growth: float
    growth_weighted: float
    best: int

    @property
    def violations(self) -> int:
        """The violations on the steps of all five seeds, `LOGGED_STEPS`."""
        return sum(self.each.values())

    @property
    def worst_margin(self) -> float:
        """The smallest margin that the log gives."""
        return min(self.worst.values())

    @property
    def config(self) -> CollatzConfig:
        """The run's configuration."""
        return logged(self.run)


def _result(
    run: int, date: str, epoch: int, parameters: int, each: str, worst: str, rates: str, best: int
) -> LoggedResult:
    """Makes a result from the three seeds that have violations: `each` and `worst` are theirs.

    Seeds 111 and 27 have no violation at the end of any run.
    """
    hard = ("703", "26623", "626331")
    counts = {111: 0, 27: 0, **{int(seed): int(count) for seed, count in zip(hard, each.split(), strict=True)}}
    margins = {int(seed): float(margin) for seed, margin in zip(hard, worst.split(), strict=True) if margin != "-"}
    plain, weighted, growth, growth_weighted = map(float, rates.split())
    return LoggedResult(run, date, epoch, parameters, counts, margins, plain, weighted, growth, growth_weighted, best)


LOGGED_RESULTS: Mapping[int, LoggedResult] = MappingProxyType(
    {
        found.run: found
        for found in (
            _result(
                2, "2024-12-02", 100_000, 4_405_250, "15 23 49", "-0.93 -1.08 -1.09", "95.43 94.57 98.53 98.02", 77
            ),
            _result(
                3, "2024-12-03", 100_000, 4_405_250, "12 21 47", "-0.66 -0.50 -0.66", "95.68 94.97 98.72 98.31", 69
            ),
            _result(
                4, "2024-12-03", 100_000, 4_405_250, "11 19 43", "-0.25 -0.82 -1.22", "95.68 95.00 98.62 98.22", 71
            ),
            _result(
                5, "2024-12-06", 100_000, 4_405_250, "11 16 37", "-0.52 -1.30 -1.50", "97.22 96.70 99.77 99.71", 64
            ),
            _result(6, "2024-12-07", 100_000, 4_425_730, "8 18 32", "-0.50 -0.79 -1.17", "97.91 97.40 99.82 99.75", 58),
            _result(7, "2024-12-08", 45_000, 4_589_570, "0 1 13", "- -0.06 -0.41", "99.68 99.60 99.96 99.95", 14),
        )
    }
)
"""The results by run, from PROGRESS.md's "Final Trajectory Results" and last rows.

Run 7 has no row after step 45,000 of its 100,000.
"""
