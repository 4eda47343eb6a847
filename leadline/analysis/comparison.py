"""The difference between two arms, each the confirmed best of a stratum of a sweep: paired where units and seeds are the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from leadline.analysis.sweep import Sweep
from leadline.config import ConfigError
from leadline.ledger import leaderboard
from leadline.ledger.confirmed import exact, finished, lost
from leadline.ledger.history import Baseline, Trial
from leadline.ledger.settings import Settings
from leadline.measure import Measure, Report
from leadline.statistics import (
    LEAST_DIFFERING,
    LEAST_REPLICATES,
    TwoWay,
    differing,
    lacking,
    over_replicates,
    rule_of_three,
    two_way,
)

__all__ = ["Arm", "At", "Comparison", "compare", "meant", "mode_and_unit"]

At = Literal["steps", "samples", "time"]
Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Arm:
    """The confirmed best of a stratum, and how many of its stratum were confirmed."""

    label: str
    sweep: Sweep
    trial: Trial
    among: int

    @staticmethod
    def of(sweep: Sweep, stratum: str) -> Arm:
        """The arm of a stratum.

        Raises:
            ConfigError: if no finalist of it has been confirmed.
        """
        label = f"{sweep.name}:{stratum}" if sweep.settings.stratify else sweep.name
        found = leaderboard.confirmed(sweep.history, stratum)
        if not found:
            raise ConfigError(f"{label}: none of its trials has been confirmed, so there is nothing to compare")
        return Arm(label, sweep, found[0], len(found))

    @property
    def runs(self) -> list[Trial]:
        """Finished replicates."""
        return finished(self.sweep.history, self.trial)


@dataclass(frozen=True)
class Comparison:
    """A less B.

    Attributes:
        metric: named `split/metric`.
        mode: min or max.
        unit: what `n` counts.
        at: "steps" where each arm spent its budget; else where they were read, as in `64,000 samples`.
        values: the two arms' own measures.
        found: the difference and its bootstrap.
        n: units of the split.
        replicates: of A and of B, as they were used.
        resampled: what the interval was made from.
        missing: why nothing is claimed; empty where something is.
        differing: units on which the arms differ, without which neither is ahead; None where units were not resampled.
        margin: the largest difference that would not matter, if one was given.
        notes: what else must be known.
        confidence: of the interval that must exclude 0 before an arm is ahead.
    """

    a: Arm
    b: Arm
    metric: str
    mode: str
    unit: str
    at: str
    values: tuple[Measure, Measure]
    found: TwoWay
    n: int
    replicates: tuple[int, int]
    resampled: str
    missing: str
    differing: int | None
    margin: float | None
    notes: tuple[str, ...]
    confidence: float = 0.95

    @property
    def difference(self) -> Measure:
        """A less B, with its interval."""
        return Measure(self.found.value, self.n, *self.found.interval(self.confidence))

    @property
    def detectable(self) -> float:
        """The smallest difference that could have been seen; NaN where nothing varies."""
        return self.found.detectable(confidence=self.confidence)

    @property
    def equivalent(self) -> bool:
        """Whether the 90 % interval lies within the margin: two one-sided tests at 5 % (Schuirmann 1987)."""
        low, high = self.found.interval(0.9)
        spread = self.found.error > 0 or self.found.value != 0
        return self.margin is not None and spread and -self.margin < low and high < self.margin

    @property
    def ahead(self) -> str:
        """`A` or `B` where the interval excludes 0 and enough units differ; empty where not."""
        low, high = self.found.interval(self.confidence)
        if not (low > 0 or high < 0) or self.few:
            return ""
        return "A" if (high < 0) == (self.mode == "min") else "B"

    @property
    def few(self) -> bool:
        """Whether the arms differ on too few units to be told apart."""
        return self.differing is not None and self.differing < LEAST_DIFFERING

    @property
    def word(self) -> str:
        """What is claimed of A: better, worse, no difference or not told apart; empty where nothing is."""
        if self.missing or self.ahead:
            return "" if self.missing else "better" if self.ahead == "A" else "worse"
        return "no difference" if self.equivalent else "not told apart"

    @property
    def verdict(self) -> str:
        """What may be said."""
        if self.missing:
            side = f"the interval excludes 0 in favour of {self.ahead}" if self.ahead else "the interval includes 0"
            return f"no claim: {self.missing}; {side}"
        if self.ahead:
            return f"{self.ahead} is better{f', {self.why}' if self.why else ''}"
        return f"{self.word}: {self.why}"

    @property
    def why(self) -> str:
        """What there is to say of the word; empty where nothing is."""
        if self.equivalent:
            return f"{'by less than would matter: ' if self.ahead else ''}the 90 % interval lies within the margin of {self.margin:g}"
        if self.ahead:
            return ""
        if not self.found.error > 0:
            share = 100 * rule_of_three(self.n)
            return f"equal on all {self.n} {self.unit}, which leaves room for up to {share:.2g} % (rule of three)"
        if self.few:
            return f"the arms differ on {self.differing} of {self.n} {self.unit}, too few to tell"
        return f"a difference below {self.detectable:.4g} could not have been seen"


def meant(settings: Settings) -> bool:
    """Whether the study means its strata to be compared; an old ledger does not say, and only arms are meant to be."""
    return settings.comparable


def mode_and_unit(settings: Settings, metric: str) -> tuple[str, str]:
    """Which way a metric is better, and what its n counts; the objective's mode is known even where the family is not installed.

    Raises:
        ConfigError: if the family does not have the metric, or is not installed and it is not the objective.
    """
    from leadline import registry

    try:
        found = registry.family(settings.family).metric(metric)
    except (ConfigError, ValueError):
        if metric != settings.metric:
            raise
        return settings.mode, "units"
    return found.mode, found.unit


def compare(
    a: Arm,
    b: Arm,
    metric: str,
    split: str = "test",
    at: At = "steps",
    margin: float | None = None,
    confidence: float = 0.95,
) -> Comparison:
    """The difference in one metric, with its interval and what may be said of it.

    At equal `steps`, each replicate's last report counts. At equal `samples`, it is the report at the largest count at which
    all replicates of both arms reported; at equal `time` (training seconds), and where there is no such count, the last report
    before the largest value that all of them reached, and a note says where that was. Replicates are paired by their seed where
    the one arm's seeds are all among the other's, and drawn separately otherwise.

    Raises:
        ConfigError: if the two cannot be compared.
    """
    name = f"{split}/{metric}"
    if a.sweep.settings.family != b.sweep.settings.family:
        raise ConfigError(
            f"units: {a.label} is of family {a.sweep.settings.family}, {b.label} of {b.sweep.settings.family}"
        )
    mode, unit = mode_and_unit(a.sweep.settings, metric)
    limit = None if at == "steps" else _limit(a, b, at)
    scores = _scores(a, name, at, limit), _scores(b, name, at, limit)
    if any(
        exact(list(found.values())) and metric != arm.sweep.settings.metric
        for arm, found in zip((a, b), scores, strict=True)
    ):
        raise ConfigError(
            f"metric: {metric} is an exact count, with a minimum and a maximum over replicates and no interval"
        )
    notes = _budgets(a, b) if limit is None else _read_at(a, b, at, limit)
    by_unit = all(score.units for found in scores for score in found.values())
    if by_unit:
        notes += _same_rows(a, b, name, *({len(score.units) for score in found.values()} for found in scores))
    paired, chosen = _pair(*scores)
    tables = [np.array([score.units if by_unit else (score.value,) for score in found]) for found in chosen]
    n = min(score.n for found in chosen for score in found)
    differ = (
        differing(tables[0].mean(axis=0, keepdims=True) - tables[1].mean(axis=0, keepdims=True)) if by_unit else None
    )
    counts = len(chosen[0]), len(chosen[1])
    few = lacking(min(counts), n, unit, max(arm.sweep.settings.least_units for arm in (a, b)))
    missing = _missing(split, by_unit, min(counts), few, [*_lost(a, name), *_lost(b, name)])
    if max(a.among, b.among) > 1:
        notes.append(f"A is the best of {a.among} confirmed by the same units, B of {b.among}")
    notes += _informed(a, b)
    return Comparison(
        a, b, name, mode, unit, "steps" if limit is None else f"{limit:,.6g} {'samples' if at == 'samples' else 'training seconds'}",
        (over_replicates(chosen[0]), over_replicates(chosen[1])),
        two_way(tables[0] - tables[1]) if paired else two_way(tables[0], -tables[1]),
        n, counts, _resampled(n, unit, counts, paired, by_unit), missing, differ, margin, tuple(notes), confidence,
    )  # fmt: skip


def _spent(report: Report, at: At) -> float:
    return report.seconds if at == "time" else float(report.samples)


def _limit(a: Arm, b: Arm, at: At) -> float:
    """Up to where both arms are read; see `compare`."""
    runs = [run for arm in (a, b) for run in arm.runs]
    if at == "samples":
        common = set.intersection(*({report.samples for report in run.reports} for run in runs))
        if common:
            return float(max(common))
    return min(_spent(run.reports[-1], at) for run in runs)


def _report(run: Trial, at: At, limit: float | None) -> Report | None:
    """The last report up to the limit."""
    reports = run.reports[-1:] if limit is None else [report for report in run.reports if _spent(report, at) <= limit]
    return reports[-1] if reports else None


def _scores(arm: Arm, name: str, at: At, limit: float | None) -> dict[int, Measure]:
    """The metric of each replicate by its seed."""
    found: dict[int, Measure] = {}
    for run in arm.runs:
        report = _report(run, at, limit)
        if report is None:
            raise ConfigError(
                f"at: trial {run.number} of {arm.label} reported for the first time after the other's end, at {limit:g}"
            )
        if name not in report.metrics:
            held = ", ".join(key for key in report.metrics if key.startswith(name.split("/")[0]))
            raise ConfigError(f"metric: {arm.label} has no {name}; it has {held or 'none on that split'}")
        found[run.config["seed"]] = report.metrics[name]
    return found


def _pair(one: dict[int, Measure], other: dict[int, Measure]) -> tuple[bool, tuple[list[Measure], list[Measure]]]:
    """Whether replicates pair by seed, and those that are used of each."""
    common = [seed for seed in one if seed in other]
    if common and len(common) == min(len(one), len(other)):
        return True, ([one[seed] for seed in common], [other[seed] for seed in common])
    return False, (list(one.values()), list(other.values()))


def _resampled(n: int, unit: str, counts: tuple[int, int], paired: bool, by_unit: bool) -> str:
    runs = (
        f"{counts[0]} replicate{'s' if counts[0] > 1 else ''}" if paired else f"{counts[0]} and {counts[1]} replicates"
    )
    seeds = "paired by seed" if paired else "whose seeds do not pair and which are drawn separately"
    return (
        f"{n} {unit}, paired, x {runs}, {seeds}"
        if by_unit
        else f"{runs} alone, {seeds}; the {n} {unit} are not resampled"
    )


def _lost(arm: Arm, name: str) -> list[str]:
    return (
        [f"{word} of {arm.label}" for word in lost(arm.sweep.history, arm.trial, name)]
        if name.startswith("test/")
        else []
    )


def _missing(split: str, by_unit: bool, replicates: int, few: str, lost: list[str]) -> str:
    if split != "test":
        also = f", and {replicates} of {LEAST_REPLICATES} replicates are there" if replicates < LEAST_REPLICATES else ""
        return f"both arms were chosen on the {split} split{also}"
    return "; ".join(
        [*lost, *([] if by_unit else ["the ledger has no values per unit"]), *([f"only {few}"] if few else [])]
    )


def _span(values: list[float]) -> str:
    words = [f"{value:,.0f}" if value % 1 == 0 else f"{value:.4g}" for value in (min(values), max(values))]
    return " to ".join(dict.fromkeys(words))


def _budgets(a: Arm, b: Arm) -> list[str]:
    """What the arms spent, where it is not the same number of steps and samples in all replicates."""
    last = [[run.reports[-1] for run in arm.runs] for arm in (a, b)]
    if len({(report.step, report.samples) for reports in last for report in reports}) == 1:
        return []
    same = len({report.samples for reports in last for report in reports}) == 1
    spent = [
        f"{_span([report.step for report in reports])} steps ({_span([report.samples for report in reports])} samples)"
        for reports in last
    ]
    return [f"{'equal samples in other steps' if same else 'the budgets differ'}: A spent {spent[0]}, B {spent[1]}"]


def _read_at(a: Arm, b: Arm, at: At, limit: float) -> list[str]:
    """Where the arms were read, if that is not one count for all."""
    found = [[_spent(report, at) for run in arm.runs if (report := _report(run, at, limit))] for arm in (a, b)]
    if all(value == limit for values in found for value in values):
        return []
    unit = "samples" if at == "samples" else "training seconds"
    return [
        f"A was read after {_span(found[0])} {unit}, B after {_span(found[1])}: the last reports before {limit:,.6g}"
    ]


def _informed(a: Arm, b: Arm) -> list[str]:
    """What a difference between strata says where the stratifying field is information that a network is given."""
    one, other = a.sweep.settings, b.sweep.settings
    field = one.stratify
    if not field or other.stratify != field or a.trial.stratum == b.trial.stratum or (meant(one) and meant(other)):
        return []
    return [
        f"A and B differ in {field}, which is information: this says what more of it brings, not which network is better"
    ]


def _same_rows(a: Arm, b: Arm, name: str, one: set[int], other: set[int]) -> list[str]:
    """Nothing where both arms were scored on the same rows, or what is not known about that.

    The rows are the same where a trivial predictor has the same value on every unit, values that differ between units.
    Predictors may depend on the stratum, so that without such a one the families' key of the data decides.

    Raises:
        ConfigError: if the rows differ.
    """
    if one != other or len(one) > 1:
        sizes = [" or ".join(map(str, sorted(sizes))) for sizes in (one, other)]
        raise ConfigError(
            f"units: {a.label} was scored on {sizes[0]} of them, {b.label} on {sizes[1]}, so they do not pair"
        )
    lines = {line.name: line.metrics[name].units for line in _lines(b) if name in line.metrics}
    shared = [
        (line.metrics[name].units, lines[line.name])
        for line in _lines(a)
        if name in line.metrics and line.name in lines
    ]
    if any(len(set(units)) > 1 and np.array_equal(units, others) for units, others in shared):
        return []
    keys = [_data_key(arm) for arm in (a, b)]
    if keys[0] != keys[1]:
        raise ConfigError(
            f"units: {a.label} was scored on data {keys[0]}, {b.label} on {keys[1]}, so their rows do not pair"
        )
    varied = any(len(set(units)) > 1 and len(set(others)) > 1 for units, others in shared)
    return [
        "no trivial predictor has the same values in both arms; the rows are taken to be the same because the data are"
    ] * varied


def _lines(arm: Arm) -> list[Baseline]:
    return [line for line in arm.sweep.history.baselines if line.stratum == arm.trial.stratum]


def _data_key(arm: Arm) -> str:
    """What names the arm's data: the family's key, or the sweep where the family is not installed."""
    from leadline import registry

    try:
        family = registry.family(arm.sweep.settings.family)
        return str(family.data_key(family.config(arm.trial.config)))
    except (ConfigError, ValueError):
        return f"of {arm.sweep.folder}"
