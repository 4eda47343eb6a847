"""What a sweep would cost and find, or would have: its decisions played on known curves.

    leadline rehearse sweeps/lookahead.py --options "--trials 80 batch=64"
                                 before anything is booked: a band for time, trials that are
                                 stopped, and what could be told apart
    leadline rehearse results/NAME
                                 afterwards: what other choices would have saved or lost
    leadline rehearse results/NAME --what-if reduction=2,3,4 --what-if scheduler=asha,none

The trials of a study are drawn from the curves of earlier sweeps in --results: of the same study
and family, else of the same family. What was stopped is continued by the curves of finished trials
that were as good there, drawn anew each time; so figures are medians, with the band that holds 90 %
of the draws. Nothing is searched in a rehearsal: a search that learns finds better configurations
than the earlier ones.

Exit code 0, 2 for bad input.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import runpy
import shlex
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.table import Table
from rich.text import Text

from leadline.analysis import progress
from leadline.analysis.report.short import short
from leadline.analysis.sweep import Sweep, place, sweep_names
from leadline.analysis.terminal import console
from leadline.command_line import Command, count, price
from leadline.config import ConfigError
from leadline.dotted import load
from leadline.engine import options
from leadline.engine.plan import at_a_time, few_proposals
from leadline.engine.rehearsal import LEAST_DONORS, Curve, Played, continued, curves, play, scaled
from leadline.errors import calling
from leadline.ledger import leaderboard
from leadline.ledger.segments import LedgerError
from leadline.ledger.settings import SCHEDULERS, Settings
from leadline.ledger.worth import SEEN_ERRORS, scatter
from leadline.measure import sign
from leadline.plain import plural
from leadline.statistics import LEAST_UNITS, NORMAL, lacking

if TYPE_CHECKING:
    from leadline.engine.study import Study

__all__ = ["REHEARSE"]

CHOICES = ("reduction", "grace", "scheduler", "trials", "replicates")
"""What `--what-if` takes."""
AFTERWARDS = ("reduction", "grace", "scheduler")
"""What it takes of a sweep that has run: its trials are those that there were."""
SEED = 0
"""The seed of all draws: a rehearsal that is repeated says the same."""


def _what_if(word: str) -> tuple[str, list[Any]]:
    """Reads `reduction=2,3,4`.

    Raises:
        ArgumentTypeError: for another name, or a value that it cannot have.
    """
    name, _, values = word.partition("=")
    if name not in CHOICES:
        raise argparse.ArgumentTypeError(f"expected one of {', '.join(CHOICES)}, as reduction=2,3,4 (got {word!r})")
    found = [value.strip() for value in values.split(",")]
    if name == "scheduler":
        if unknown := [value for value in found if value not in SCHEDULERS]:
            raise argparse.ArgumentTypeError(f"scheduler: must be among {', '.join(SCHEDULERS)} (got {unknown[0]!r})")
        return name, found
    try:
        return name, [count(value) for value in found]
    except argparse.ArgumentTypeError as error:
        raise argparse.ArgumentTypeError(f"{name}: {error}") from None


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--what-if", type=_what_if, action="append", metavar="NAME=VALUES", help="other choices to play"
    )
    parser.add_argument("--draws", type=count, default=100, metavar="N", help="how often each is played [100]")
    parser.add_argument("--results", default="results", metavar="FOLDER", help="where earlier sweeps are [results]")
    parser.add_argument("--price", type=price, metavar="X", help="price of an hour; without it, no word of money")
    parser.add_argument("subject", metavar="SWEEP | STUDY", help="a sweep, or a study's script or package.module:STUDY")
    parser.add_argument("--options", default="", metavar="WORDS", help="the study's own options and fields, in quotes")


def _run(given: argparse.Namespace) -> None:
    asked = dict(given.what_if or [])
    if given.subject.endswith(".py") or ("://" not in given.subject and ":" in given.subject):
        _study(given, asked)
    elif given.options:
        raise ConfigError("options: are those of a study; a sweep that has run takes --what-if")
    else:
        _sweep(given, asked)


@dataclass(frozen=True)
class _Pool:
    """The curves of one stratum, and how others of it are continued.

    Attributes:
        found: the curves as they were recorded.
        budget: the whole budget.
    """

    found: Sequence[Curve]
    budget: int

    @property
    def donors(self) -> list[Curve]:
        """The finished curves."""
        return [one for one in self.found if one.spent >= self.budget and math.isfinite(one.last)]

    @property
    def guessed(self) -> int:
        """How many curves are continued."""
        return sum(one.spent < self.budget and math.isfinite(one.last) for one in self.found)

    def whole(self, curve: Curve, generator: np.random.Generator) -> Curve:
        """A curve to the end of the budget."""
        return continued(curve, self.donors, self.budget, generator)


def _pools(found: Sequence[Curve], strata: Sequence[str], budget: int) -> dict[str, _Pool]:
    """The curves by stratum.

    Raises:
        ConfigError: if too few of a stratum are whole.
    """
    pools = {stratum: _Pool([one for one in found if one.stratum == stratum], budget) for stratum in strata}
    for stratum, pool in pools.items():
        if len(pool.donors) < LEAST_DONORS:
            raise ConfigError(
                f"stratum {stratum}: {plural(len(pool.donors), 'trial')} finished, and at least {LEAST_DONORS} are "
                "needed to say how stopped ones would have gone on"
            )
    return pools


def _sweep(given: argparse.Namespace, asked: Mapping[str, list[Any]]) -> None:
    """Prints what other choices would have saved or lost."""
    if wrong := [name for name in asked if name not in AFTERWARDS]:
        raise ConfigError(f"what-if: {wrong[0]}: a sweep that has run takes {', '.join(AFTERWARDS)}")
    sweep = Sweep.open(given.subject)
    settings, found = sweep.settings, curves(sweep.history)
    pools = _pools(found, sweep.strata, settings.budget)
    workers = _workers(settings)
    choices = _choices(settings, asked or {"scheduler": list(SCHEDULERS), "reduction": [2, 3, 4]})
    played: dict[str, list[Played]] = {name: [] for name in choices}
    for draw in range(given.draws):
        generator = np.random.default_rng([SEED, draw])
        drawn = [pools[one.stratum].whole(one, generator) for one in found]
        for name, chosen in choices.items():
            played[name].append(play(drawn, chosen, workers))
    guessed = sum(pool.guessed for pool in pools.values())
    screen = console()
    screen.print(
        Text(
            f"{sweep.name}: {plural(len(found), 'trial')}, {workers} at a time; {guessed} of the curves are continued "
            f"beyond where they were stopped, as others were that were as good there. Median and 90 % of "
            f"{plural(given.draws, 'draw')}."
        )
    )
    label = f" by {settings.stratify}" if settings.stratify else ""
    screen.print(Text(f"{settings.metric} of the best finished trial{label}:"))
    table = Table("choice", "stopped", "time", *(sweep.strata if label else [settings.metric]))
    for name, made in played.items():
        best = [_band([_end(one, stratum, settings) for one in made]) for stratum in sweep.strata]
        table.add_row(
            name,
            _band([one.stopped() for one in made], "{:.0f}"),
            _time([one.elapsed for one in made]),
            *best,
        )
    screen.print(table)
    screen.print(
        Text(
            "A curve that is continued ends within what finished trials have shown, and so hardly ever ahead of the "
            "winner: what stopping has cost is seen as far as trials finished although a rung would have stopped them."
        )
    )


def _workers(settings: Settings) -> int:
    """The trials at a time; one where not even one would fit this machine."""
    try:
        return at_a_time(settings)
    except ConfigError:
        return 1


def _end(played: Played, stratum: str, settings: Settings) -> float:
    best = played.best(stratum, settings.mode)
    return best.last if best else math.nan


def _choices(settings: Settings, asked: Mapping[str, list[Any]]) -> dict[str, Settings]:
    """The settings as they are, and with one field changed at a time, by what is said of them.

    Raises:
        ConfigError: for a value that the settings cannot have.
    """
    found = {"as it is": settings}
    for name, values in asked.items():
        for value in values:
            if value != getattr(settings, name):
                found[f"{name} {value}"] = dataclasses.replace(settings, **{name: value})
    return found


def _band(values: Sequence[float], form: str = "") -> str:
    """The median with the 90 % band of draws; the share that has a value where some have none."""
    known = [value for value in values if math.isfinite(value)]
    if not known:
        return "none"
    shown = [form.format(one) if form else short(one) for one in np.quantile(known, [0.5, 0.05, 0.95])]
    band = shown[0] if shown[1] == shown[2] else f"{shown[0]} ({shown[1]} to {shown[2]})"
    return band if len(known) == len(values) else f"{band} in {100 * len(known) / len(values):.0f} %"


def _time(seconds: Sequence[float]) -> str:
    low, middle, high = (progress.duration(one) for one in np.quantile(seconds, [0.05, 0.5, 0.95]))
    return middle if low == high else f"{middle} ({low} to {high})"


def _study(given: argparse.Namespace, asked: Mapping[str, list[Any]]) -> None:
    """Prints what a sweep that is planned would cost and find."""
    study = _loaded(given.subject)
    request = options.parse(study, _words(given.options), "")
    settings = options.settings(study, request)
    earlier, alike = _earlier(settings, given.results)
    strata = [str(stratum) for stratum in settings.strata]
    known = {one.stratum for sweep in earlier for one in curves(sweep.history)}
    by_stratum = alike and known >= set(strata)
    found = [
        dataclasses.replace(scaled(one, sweep.settings.budget, settings.budget), stratum=stratum)
        for sweep in earlier
        for one in curves(sweep.history)
        for stratum in strata
        if not by_stratum or one.stratum == stratum
    ]
    pools = _pools(found, strata, settings.budget)
    # Where strata were put together, each curve stands in the pool of every one of them.
    copies = 1 if by_stratum else len(strata)
    guessed = sum(pool.guessed for pool in pools.values()) // copies
    spread = _spread(earlier, strata if by_stratum else None)
    workers = _workers(settings)
    screen = console()
    whose = "of this study" if alike else f"of other studies of {settings.family}"
    apart = "" if by_stratum else ", whose strata are others and were put together"
    screen.print(
        Text(
            f"{settings.study}: {settings.trials} trials, {workers} at a time, drawn {plural(given.draws, 'time')} "
            f"from the curves of {plural(len(earlier), 'sweep')} {whose} ({', '.join(one.name for one in earlier)})"
            f"{apart}; {guessed} of {len(found) // copies} curves are continued beyond "
            "where they were stopped."
        )
    )
    plan = _planned(settings, asked, pools, workers, given)
    for stratum in strata:
        screen.print(Text(_told(plan, stratum, settings, earlier if by_stratum else [], spread.get(stratum, math.nan))))
    if remark := few_proposals(settings):
        screen.print(Text(remark))


def _planned(
    settings: Settings,
    asked: Mapping[str, list[Any]],
    pools: Mapping[str, _Pool],
    workers: int,
    given: argparse.Namespace,
) -> list[Played]:
    """Prints a row for the plan and each other choice, and returns the plays of the plan."""
    default: dict[str, list[Any]] = {
        "scheduler": ["asha", "none"],
        "reduction": [2, 3, 4],
        "trials": [max(1, settings.trials // 2), 2 * settings.trials],
        "replicates": [3, 2 * settings.replicates],
    }
    table = Table(
        "choice", "stopped", "search", "with confirmation", *(["money"] if given.price else []), "behind the best"
    )
    plan: list[Played] = []
    for name, chosen in _choices(settings, asked or default).items():
        played = [_drawn(chosen, pools, workers, draw) for draw in range(given.draws)]
        plan = plan or played
        whole = [one.elapsed + _confirmation(chosen, pools, workers) for one in played]
        money = [short(given.price * statistics.median(whole) / 3600)] if given.price else []
        stopped = _band([one.stopped() for one in played], "{:.0f}")
        times = [_time([one.elapsed for one in played]), _time(whole)]
        table.add_row(name, stopped, *times, *money, _band(_behind(played, pools, settings)))
    screen = console()
    screen.print(table)
    screen.print(
        Text(
            "Behind the best: how far the winner's last value is behind that of the best curve, in standard deviations "
            "of the finished ones, over the strata."
        )
    )
    return plan


def _words(text: str) -> list[str]:
    """The words of a study's options, as a shell would part them.

    Raises:
        ConfigError: if a quotation mark has no other.
    """
    try:
        return shlex.split(text)
    except ValueError:
        raise ConfigError(f"options: a quotation mark has no other (got {text!r})") from None


def _loaded(subject: str) -> Study:
    from leadline.engine.study import Study

    if not subject.endswith(".py"):
        found = load(subject, "study")
    elif not Path(subject).is_file():
        raise ConfigError(f"study: there is no file {subject}")
    else:
        with calling("study"):
            found = runpy.run_path(subject).get("STUDY")
    if not isinstance(found, Study):
        raise ConfigError(f"study: {subject} has no STUDY")
    return found


def _earlier(settings: Settings, results: str) -> tuple[list[Sweep], bool]:
    """The sweeps to draw from, and whether they are of the same study.

    Raises:
        ConfigError: if there is none.
    """
    found = []
    folder = place(results)
    for name in sweep_names(folder):
        try:
            sweep = Sweep.open(folder / name)
        except (LedgerError, ValueError):
            continue
        same = all(getattr(sweep.settings, one) == getattr(settings, one) for one in ("family", "metric", "unit"))
        if (
            same
            and sweep.settings.scale != "smoke"
            and any(t.status == "finished" for t in sweep.history.search_trials())
        ):
            found.append(sweep)
    own = [sweep for sweep in found if sweep.settings.study == settings.study]
    if not found:
        raise ConfigError(
            f"results: no sweep of {settings.family} with a finished trial is in {results}; run one, "
            f"for example with --trials {2 * len(settings.strata)}, or name another folder with --results"
        )
    return own or found, bool(own)


def _spread(earlier: Sequence[Sweep], strata: Sequence[str] | None) -> dict[str, float]:
    """The scatter from seed to seed of each stratum, over sweeps; without strata, none."""
    found = {}
    for stratum in strata or ():
        known = [value for one in earlier if math.isfinite(value := scatter(one.history, stratum))]
        if known:
            found[stratum] = math.sqrt(statistics.fmean(value**2 for value in known))
    return found


def _drawn(settings: Settings, pools: Mapping[str, _Pool], workers: int, draw: int) -> Played:
    generator = np.random.default_rng([SEED, draw])
    strata, found = [str(stratum) for stratum in settings.strata], []
    for number in range(settings.trials):
        pool = pools[strata[number % len(strata)]]
        curve = pool.found[int(generator.integers(len(pool.found)))]
        found.append(dataclasses.replace(pool.whole(curve, generator), trial=number))
    return play(found, settings, workers)


def _confirmation(settings: Settings, pools: Mapping[str, _Pool], workers: int) -> float:
    """The seconds that replicates take, so many at a time."""
    each = [statistics.fmean(one.seconds for one in pool.found) * settings.budget for pool in pools.values()]
    return settings.confirm * settings.replicates * sum(each) / workers


def _behind(played: Sequence[Played], pools: Mapping[str, _Pool], settings: Settings) -> list[float]:
    """How far the winner is behind the best curve, in units of the spread of finished ones."""
    found = []
    for one in played:
        gaps = []
        for stratum, pool in pools.items():
            ends = [sign(settings.mode) * donor.last for donor in pool.donors]
            winner = one.best(stratum, settings.mode)
            end = sign(settings.mode) * winner.last if winner else statistics.fmean(ends)
            gaps.append(max(0.0, end - min(ends)) / (statistics.stdev(ends) or 1.0))
        found.append(statistics.fmean(gaps))
    return found


def _told(plan: Sequence[Played], stratum: str, settings: Settings, earlier: Sequence[Sweep], spread: float) -> str:
    """The chance that the winner of a stratum is told from others, in words."""
    name = f"{settings.stratify} {stratum}" if settings.stratify else "the winner"
    if not spread > 0:
        return f"{name}: no earlier replicates whose scores differ, so that nothing can be said of what is told apart"
    if lacks := lacking(settings.replicates, LEAST_UNITS):
        return f"{name}: no claim would be made, with {lacks}"
    direction = sign(settings.mode)
    error = spread * math.sqrt(2 / settings.replicates)
    runner, trivial = [], []
    lines = [leaderboard.best_trivial(one.history, stratum, leaderboard.objective(one.history)) for one in earlier]
    values = [line.metrics[leaderboard.objective(earlier[0].history)].value for line in lines if line]
    for one in plan:
        # A curve that was drawn twice is no runner-up of itself.
        ends = sorted({direction * curve.last for curve in one.finished if curve.stratum == stratum})
        if len(ends) > 1:
            runner.append(NORMAL.cdf((ends[1] - ends[0]) / error - 1.96))
        if ends and values:
            gap = abs(direction * statistics.fmean(values) - ends[0])
            trivial.append(NORMAL.cdf(gap / (error / math.sqrt(2)) - 1.96))
    said = [f"{statistics.fmean(found):.0%} {whom}" for found, whom in
            ((runner, "from the runner-up"), (trivial, "from the best that learns nothing")) if found]  # fmt: skip
    return (
        f"{name}: told apart with a chance of {', '.join(said) or 'nothing known'}; the smallest difference that "
        f"{settings.replicates} replicates can tell from the scatter of seeds: {short(SEEN_ERRORS * error)}"
    )


REHEARSE = Command("what a sweep would cost and find, or would have", _arguments, _run, manual=__doc__)
