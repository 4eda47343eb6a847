"""Plays a sweep's decisions on curves that are known, by the objects that decide in a real one.

Trials are given, with what they report and how long it takes; `Asha` and `Scheduler` say which of
them are stopped, and where. There is no search in it: configurations come in a given order. A curve
that ends before the budget, as its trial was stopped, is continued by that of another.

It is pure: it uses no clock and no storage, and its random numbers come from a seed.
"""

from __future__ import annotations

import functools
import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from leadline.engine.asha import Asha
from leadline.engine.observations import value_at
from leadline.engine.scheduler import Scheduler
from leadline.ledger import leaderboard
from leadline.ledger.history import History
from leadline.ledger.settings import Settings
from leadline.measure import sign

__all__ = ["DONORS", "LEAST_DONORS", "Curve", "Played", "continued", "curves", "play", "scaled"]

LEAST_DONORS = 2
"""The finished trials of a stratum without which nothing can be said of how others would go on."""
DONORS = 3
"""A curve is continued by one of so many finished ones whose values were the nearest there."""


@dataclass(frozen=True)
class Curve:
    """What a trial reports.

    Attributes:
        trial: its number.
        stratum: its stratum.
        points: (budget spent, value) of each report, in order.
        seconds: its time for one unit of the budget, scoring and saving included.
        judged_from: the share of the budget after which its last stage has begun.
    """

    trial: int
    stratum: str
    points: tuple[tuple[int, float], ...]
    seconds: float
    judged_from: float = 0.0

    @property
    def spent(self) -> int:
        """How far it comes."""
        return self.points[-1][0]

    @property
    def last(self) -> float:
        """Its last value."""
        return self.points[-1][1]

    def at(self, spent: int) -> float:
        """Its last value up to there; NaN where it has none."""
        return value_at(self.points, spent)


@dataclass
class Played:
    """What came of a played search.

    Attributes:
        spent: how far each trial came, by number.
        finished: the curves that spent the whole budget.
        seconds: the time of all trials, one after the other.
        elapsed: the time until the last has ended, with as many at a time as there were workers.
    """

    spent: dict[int, int] = field(default_factory=dict)
    finished: list[Curve] = field(default_factory=list)
    seconds: float = 0.0
    elapsed: float = 0.0

    def best(self, stratum: str, mode: str) -> Curve | None:
        """The finished curve of a stratum with the best last value."""
        known = [one for one in self.finished if one.stratum == stratum and math.isfinite(one.last)]
        return min(known, key=lambda one: sign(mode) * one.last, default=None)

    def stopped(self) -> int:
        """How many trials were stopped."""
        return len(self.spent) - len(self.finished)


def curves(history: History) -> list[Curve]:
    """The curves of a sweep's search trials that have reported, by number."""
    metric, found = leaderboard.objective(history), []
    for trial in history.search_trials():
        whole = [report for report in trial.reports if report.whole]
        if whole:
            points = tuple((history.spent(report), report.value(metric)) for report in whole)
            seconds = (whole[-1].seconds + whole[-1].overhead) / points[-1][0]
            found.append(Curve(trial.number, trial.stratum, points, seconds, trial.judged_from))
    return found


def scaled(curve: Curve, was: int, now: int) -> Curve:
    """The curve with a budget of `now` instead of `was`, as if it depended on the share alone."""
    points = tuple((max(1, round(spent * now / was)), value) for spent, value in curve.points)
    return replace(curve, points=points)


def continued(curve: Curve, donors: Sequence[Curve], budget: int, generator: np.random.Generator) -> Curve:
    """The curve to the end of the budget.

    One that ends before it goes on as a finished one of those whose values were the nearest there.
    It keeps its distance from that one in proportion to how far the finished ones lie apart, and
    stays within what they had. One that has diverged stays as it is, and so does one that ends
    where no finished one has reported.
    """
    known = [donor for donor in donors if math.isfinite(donor.at(curve.spent))]
    if curve.spent >= budget or not math.isfinite(curve.last) or not known:
        return curve
    near = sorted(known, key=lambda donor: abs(donor.at(curve.spent) - curve.last))[:DONORS]
    donor = near[int(generator.integers(len(near)))]
    shift = curve.last - donor.at(curve.spent)
    apart = float(np.ptp([one.at(curve.spent) for one in known]))
    rest = []
    for spent, value in donor.points:
        if spent > curve.spent:
            seen = [one.at(spent) for one in known]
            share = float(np.ptp(seen)) / apart if apart else 1.0
            rest.append((spent, min(max(value + shift * share, min(seen)), max(seen))))
    return replace(curve, points=(*curve.points, *rest))


def play(found: Sequence[Curve], settings: Settings, workers: int) -> Played:
    """Plays a search over curves in their order, so many at a time.

    Args:
        found: the curves, to the end of the budget.
        settings: the sweep's, of which scheduler, seed, rungs, budget and mode are used.
        workers: trials at a time.
    """
    budget, played = settings.budget, Played()
    asha = {one.stratum: Asha(settings.grace, settings.reduction, budget, settings.mode) for one in found}
    scheduler = Scheduler(settings.seed)
    heap: list[tuple[float, int, int]] = []  # when, place in `found`, report
    now = 0.0

    def push(place: int, report: int) -> None:
        curve = found[place]
        before = curve.points[report - 1][0] if report else 0
        seconds = (curve.points[report][0] - before) * curve.seconds
        played.seconds += seconds
        heapq.heappush(heap, (now + seconds, place, report))

    following = min(workers, len(found))
    for place in range(following):
        push(place, 0)
    while heap:
        now, place, report = heapq.heappop(heap)
        curve = found[place]
        spent, value = curve.points[report]
        spares = functools.partial(
            scheduler.spares, settings.scheduler, curve.trial, rungs=settings.rungs, budget=budget
        )
        judge = asha[curve.stratum]
        decision = judge.report(curve.trial, spent, value, judged_from=curve.judged_from, spared=spares)
        if decision.action == "continue" and report + 1 < len(curve.points):
            push(place, report + 1)
            continue
        played.spent[curve.trial] = spent
        if decision.action == "finish":
            played.finished.append(curve)
            scheduler.finished(curve.stratum, judge.judged(curve.trial), value)
        if following < len(found):
            push(following, 0)
            following += 1
    played.elapsed = now
    return played
