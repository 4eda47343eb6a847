"""What the searcher of a stratum is told of its trials.

A searcher of Optuna's kind can be told two ways. As Optuna itself does it (`as_optuna`), a stopped
trial is pruned and ranks below all that finished, and one that runs counts as bad. Where most
trials never finish, the best tenth, from which TPE learns, is then hardly a choice.

`ranked` tells what the sweep believes instead. A trial that has not finished is given the final
value that a line through the finished ones, from their value at the same place to their last, makes
of its last report. Each is told as its rank.

Each stratum is a search of its own. To tell the ranks of other strata as well helped nowhere, and
harmed once some trials had finished: docs/search.md.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from optuna.distributions import BaseDistribution, distribution_to_json
from optuna.trial import FrozenTrial, TrialState, create_trial

from leadline.measure import sign

__all__ = ["LEAST_LINE", "MOST_LINE", "MOST_TOLD", "Observations", "Outcome", "value_at"]

Outcome = Literal["finished", "stopped", "infeasible", "failed"]
"""How a trial ended; an infeasible one cannot be trained here, whatever it has reported."""

LEAST_LINE = 4
"""The finished trials from which on a line is drawn through them."""
MOST_LINE = 64
"""The latest finished trials that a line is drawn through, as its cost grows with their square."""
MOST_TOLD = 500
"""The trials that a searcher is told at most: one half the best, the other the newest of the rest.

TPE's own time for a proposal is 14 ms with 1,000 trials told and 110 ms with 10,000.
"""

MOST_RANKED = 2000
"""The trials that are ranked at most: where there are more, those that have ended are left out, but
for the best that a searcher may be told and the newest half of so many."""

_LAST = (2.0,)
"""The place of trials that diverged or cannot be trained, behind all others: none of them is better
than another."""


def value_at(curve: Sequence[tuple[int, float]], spent: int) -> float:
    """The last value of a curve up to a place; NaN where it has none."""
    return next((value for reached, value in reversed(curve) if reached <= spent), math.nan)


@dataclass
class _Observed:
    """One proposal and what came of it; values are smaller where they are better."""

    frozen: FrozenTrial
    """The trial as Optuna is told it; its state and values are set when it is asked for."""
    outcome: Outcome | None = None
    curve: list[tuple[int, float]] = field(default_factory=list)

    @property
    def last(self) -> float:
        """Its last value; NaN where it has none."""
        return self.curve[-1][1] if self.curve else math.nan

    def at(self, step: int) -> float:
        """Its last value up to a step; NaN where it has none."""
        return value_at(self.curve, step)

    def told(self, state: TrialState, value: float | None = None) -> FrozenTrial:
        """The trial in this state."""
        self.frozen.state = state
        self.frozen.values = None if value is None else [value]
        self.frozen.intermediate_values = {}
        return self.frozen


class Observations:
    """The proposals of a stratum by number, in order, and what came of them.

    Args:
        mode: whether smaller or larger values are better. Values are told times its sign, to a
            study that minimises.
    """

    def __init__(self, mode: Literal["min", "max"]) -> None:
        self._sign = sign(mode)
        self._observed: dict[int, _Observed] = {}
        self._ranking: dict[int, _Observed] = {}
        """Those of them that are ranked, in order."""
        self._lines: dict[int, tuple[float, float] | None] = {}
        """The line through the finished trials from their value at a step, by the step."""
        self._ranks: dict[int, float] | None = None
        """The rank of each trial that has one; None where a trial has changed since."""

    def proposed(self, number: int, params: Mapping[str, Any], distributions: Mapping[str, BaseDistribution]) -> None:
        """Takes a proposal, which runs from now on."""
        frozen = create_trial(
            state=TrialState.RUNNING,
            params=dict(params),
            distributions=dict(distributions),
            user_attrs={"trial": number},
        )
        self._observed[number] = self._ranking[number] = _Observed(frozen)
        # It depends on the order of events alone, so that a replay ranks the same ones.
        if len(self._ranking) > MOST_RANKED:
            self._leave_out()

    def reported(self, number: int, step: int, value: float) -> None:
        """Takes a report of a trial that runs."""
        self._observed[number].curve.append((step, self._sign * value))
        self._ranks = None

    def ended(self, number: int, outcome: Outcome) -> None:
        """Takes the end of a trial; of one that did not finish, its last report is enough."""
        one = self._observed[number]
        one.outcome = outcome
        if outcome == "failed":
            self._ranking.pop(number, None)  # it never has a rank
        if outcome != "finished":
            one.curve = [] if outcome == "infeasible" else one.curve[-1:]
        self._lines, self._ranks = {}, None

    def reopened(self, numbers: Collection[int]) -> None:
        """Takes that trials which had ended go on."""
        for number in numbers:
            self._observed[number].outcome = None
        ranked = self._ranking.keys() | set(numbers)
        self._ranking = {number: one for number, one in self._observed.items() if number in ranked}
        self._lines, self._ranks = {}, None

    def params(self, number: int) -> dict[str, Any]:
        """The parameters that the space has asked for in a proposal."""
        return dict(self._observed[number].frozen.params)

    def distributions(self, number: int) -> dict[str, str]:
        """The distributions of these parameters, by name, as Optuna's JSON."""
        found = self._observed[number].frozen.distributions
        return {name: distribution_to_json(distribution) for name, distribution in found.items()}

    def as_optuna(self) -> list[FrozenTrial]:
        """The trials as Optuna would hold them after the same events.

        A finished trial is COMPLETE, a stopped one PRUNED with its curve, a failed one FAIL. One
        that ended in NaN or infinity, or could not be trained, is PRUNED without any value, which
        TPE ranks last: so it avoids the region, whereas a FAIL would teach it nothing. The values
        of a trial that runs are not told, since TPE does not read them.
        """
        return [_as_optuna(one) for one in self._observed.values()]

    def ranked(self) -> list[FrozenTrial]:
        """The trials, told by their ranks.

        A rank is COMPLETE, from 0 for the best to 1 for one that diverged. A trial that runs and
        has no rank yet is RUNNING. At most `MOST_TOLD` are told.
        """
        if self._ranks is None:
            self._ranks = self._ranked()
        ranks = self._ranks
        told = {
            number: ranks.get(number) for number, one in self._ranking.items() if number in ranks or one.outcome is None
        }
        return [
            self._observed[number].told(TrialState.RUNNING if rank is None else TrialState.COMPLETE, rank)
            for number, rank in _most(told).items()
        ]

    def _leave_out(self) -> None:
        """Ranks fewer from now on: see `MOST_RANKED`."""
        ranks = self._ranked()
        kept = set(list(self._ranking)[-MOST_RANKED // 2 :])
        kept.update(sorted(ranks, key=ranks.__getitem__)[: MOST_TOLD // 2])
        self._ranking = {n: one for n, one in self._ranking.items() if n in kept or one.outcome is None}
        self._lines, self._ranks = {}, None

    def _ranked(self) -> dict[int, float]:
        keys = {number: key for number, one in self._ranking.items() if (key := self._key(one))}
        order = sorted(keys, key=keys.__getitem__)
        return {number: 1.0 if keys[number] == _LAST else place / len(order) for place, number in enumerate(order)}

    def _key(self, one: _Observed) -> tuple[float, ...]:
        """What a trial is ranked by; nothing where it has no rank."""
        if one.outcome is None and not one.curve:
            return ()
        if not math.isfinite(one.last):
            return _LAST
        step = one.curve[-1][0]
        if one.outcome == "finished":
            return (0, one.last)
        if line := self._line(step):
            return (0, line[0] + line[1] * one.last)
        return (1, -step, one.last) if one.outcome == "stopped" else ()

    def _line(self, step: int) -> tuple[float, float] | None:
        if step not in self._lines:
            finished = [one for one in self._ranking.values() if one.outcome == "finished" and math.isfinite(one.last)]
            self._lines[step] = _line([(one.at(step), one.last) for one in finished[-MOST_LINE:]])
        return self._lines[step]


def _line(pairs: list[tuple[float, float]]) -> tuple[float, float] | None:
    """The line from finished trials' values at a step to their last: its height at 0, and slope.

    The slope is the median of those of all pairs (Theil 1950, Sen 1968), as a few trials whose
    values are off by decades would turn one by least squares. It never falls: a trial that is
    better now is not expected to end worse.

    Args:
        pairs: each trial's value at the step, NaN where it had none yet, and its last.
    """
    found = np.array([pair for pair in pairs if math.isfinite(pair[0])])
    if len(found) < LEAST_LINE:
        return None
    x, y = found.T
    one, other = np.triu_indices(len(x), 1)
    apart = x[one] != x[other]
    if not apart.any():
        return None
    slopes = (y[one] - y[other])[apart] / (x[one] - x[other])[apart]
    slope = max(0.0, float(np.median(slopes)))
    return float(np.median(y - slope * x)), slope


def _most(told: dict[int, float | None]) -> dict[int, float | None]:
    """The best half and the newest half of what may be told, in the order of their numbers."""
    if len(told) <= MOST_TOLD:
        return told
    best = sorted(told, key=lambda number: (math.inf if (rank := told[number]) is None else rank, number))
    kept = set(best[: MOST_TOLD // 2])
    kept.update([number for number in reversed(told) if number not in kept][: MOST_TOLD - len(kept)])
    return {number: rank for number, rank in told.items() if number in kept}


def _as_optuna(one: _Observed) -> FrozenTrial:
    if one.outcome is None:
        return one.told(TrialState.RUNNING)
    if one.outcome == "failed":
        return one.told(TrialState.FAIL)
    if not math.isfinite(one.last):
        return one.told(TrialState.PRUNED)
    finished = one.outcome == "finished"
    frozen = one.told(TrialState.COMPLETE if finished else TrialState.PRUNED, one.last if finished else None)
    frozen.intermediate_values = dict(one.curve)
    return frozen
