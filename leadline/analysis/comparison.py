"""The difference between two finalists, each the confirmed best of a stratum.

The comparison is paired where units and seeds are the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from leadline.analysis.scores import declared
from leadline.analysis.scores import metric as metric_of
from leadline.analysis.sweep import Sweep
from leadline.config import ConfigError
from leadline.ledger import leaderboard
from leadline.ledger.confirmed import exact, finished, lost
from leadline.ledger.history import Baseline, Trial
from leadline.ledger.settings import Settings
from leadline.ledger.verdicts import Comparison, Side
from leadline.measure import Measure, Report
from leadline.plain import plural
from leadline.statistics import LEAST_REPLICATES, differing, lacking, two_way

__all__ = ["At", "Finalist", "attempt", "compare", "meant", "mode_and_unit"]

At = Literal["steps", "samples", "time"]
Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Finalist:
    """The confirmed best trial of a stratum.

    Attributes:
        label: its name for readers, of sweep and stratum.
        sweep: the sweep that it belongs to.
        trial: the finalist itself.
        among: how many finalists of the stratum raced.
    """

    label: str
    sweep: Sweep
    trial: Trial
    among: int

    @staticmethod
    def of(sweep: Sweep, stratum: str) -> Finalist:
        """Returns the finalist of a stratum.

        Raises:
            ConfigError: if no finalist of it has been confirmed.
        """
        label = f"{sweep.name}:{stratum}" if sweep.settings.stratify else sweep.name
        found = leaderboard.confirmed(sweep.history, stratum)
        if not found:
            raise ConfigError(f"{label}: none of its trials has been confirmed, so there is nothing to compare")
        return Finalist(label, sweep, found[0], len(leaderboard.field(sweep.history, stratum)))

    @property
    def runs(self) -> list[Trial]:
        """The finalist's finished replicates."""
        return finished(self.sweep.history, self.trial)

    def side(self, scores: Sequence[Measure]) -> Side:
        """Returns the finalist as a side of a comparison, with the scores that are used of it."""
        return Side(self.label, self.trial.stratum, self.trial.number, tuple(scores))


def meant(settings: Settings) -> bool:
    """Returns whether the study means its strata to be compared.

    An old ledger does not say so; only arms are meant to be compared there.
    """
    return settings.comparable


def mode_and_unit(settings: Settings, metric: str) -> tuple[str, str]:
    """Returns a metric's mode, min or max, and what its n counts.

    The objective's mode is known even where the family is not installed.

    Raises:
        ConfigError: if the family does not have the metric, or is not installed and it is not the
            objective.
    """
    known = declared(settings)
    if metric in known:
        return known[metric].mode, known[metric].unit
    if metric == settings.metric:
        return settings.mode, "units"
    if not known:
        settings.model_family()  # raises, naming what is not installed
    raise ConfigError(f"metric: {settings.family} has no {metric!r}; it has {', '.join(known)}")


def compare(
    a: Finalist,
    b: Finalist,
    metric: str,
    split: str = "test",
    at: At = "steps",
    margin: float | None = None,
    confidence: float = 0.95,
) -> Comparison:
    """Returns the difference in one metric, with its interval and what may be said of it.

    At equal `steps`, each replicate's last report counts. At equal `samples`, it is the report at
    the largest count at which all replicates of both arms reported. At equal `time` (training
    seconds), and where there is no such count, it is the last report before the largest value that
    all replicates reached, and a note says where that was.

    Replicates are paired by their seed where the seeds of one arm are all among the other's, and
    are drawn separately otherwise.

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
    counts = len(chosen[0]), len(chosen[1])
    few = lacking(min(counts), n, unit, max(arm.sweep.settings.least_units for arm in (a, b)))
    if max(a.among, b.among) > 1:
        notes.append(f"A was chosen among {a.among} finalists, B among {b.among}, by validation, its search included")
    notes += _informed(a, b)
    return Comparison(
        a=a.side(chosen[0]),
        b=b.side(chosen[1]),
        metric=metric,
        mode=mode,
        estimate=two_way(tables[0] - tables[1]) if paired else two_way(tables[0], -tables[1]),
        missing=_missing(split, by_unit, min(counts), few, [*_lost(a, name), *_lost(b, name)]),
        n=n,
        unit=unit,
        split=split,
        at="steps" if limit is None else f"{limit:,.6g} {'samples' if at == 'samples' else 'training seconds'}",
        pairing=_resampled(n, unit, counts, paired, by_unit),
        differing=_differing(tables) if by_unit else None,
        margin=margin,
        notes=tuple(notes),
        confidence=confidence,
    )


def attempt(
    sweep: Sweep,
    a: str,
    b: str,
    metric: str,
    margin: float | None = None,
    confidence: float = 0.95,
) -> Comparison:
    """Compares the confirmed best of stratum `a` with that of `b` on test, as `compare` does.

    Where the two cannot be compared, the comparison has no estimate, and `missing` says why.
    """
    try:
        one, other = Finalist.of(sweep, a), Finalist.of(sweep, b)
        return compare(one, other, metric, margin=margin, confidence=confidence)
    except ConfigError as error:
        sides = Side(f"{sweep.name}:{a}", a), Side(f"{sweep.name}:{b}", b)
        mode = metric_of(sweep.history, metric).mode
        return Comparison(*sides, metric, mode, None, str(error), margin=margin, confidence=confidence)


def _differing(tables: list[Array]) -> int:
    """Returns the number of units on which the means over replicates of two sides differ.

    Each table has the shape [replicates, units].
    """
    return differing(tables[0].mean(axis=0, keepdims=True) - tables[1].mean(axis=0, keepdims=True))


def _spent(report: Report, at: At) -> float:
    return report.seconds if at == "time" else float(report.samples)


def _limit(a: Finalist, b: Finalist, at: At) -> float:
    """Returns the samples or seconds up to which both arms are read; see `compare`."""
    runs = [run for arm in (a, b) for run in arm.runs]
    if at == "samples":
        common = set.intersection(*({report.samples for report in run.reports if report.whole} for run in runs))
        if common:
            return float(max(common))
    least = min(_spent(run.reports[-1], at) for run in runs)
    # Between rungs a slow run may have scored only parts: all are read where it was last whole.
    found = [_report(run, at, least) for run in runs] if at == "time" else [None]
    return min(_spent(report, at) if report else least for report in found)


def _report(run: Trial, at: At, limit: float | None) -> Report | None:
    """Returns the last report up to the limit; None where there is none."""
    whole = [report for report in run.reports if report.whole]
    reports = whole if limit is None else [report for report in whole if _spent(report, at) <= limit]
    return reports[-1] if reports else None


def _scores(arm: Finalist, name: str, at: At, limit: float | None) -> dict[int, Measure]:
    """Returns the metric of each replicate by its seed.

    Raises:
        ConfigError: if a replicate has no report up to the limit, or none of the metric.
    """
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
    """Returns whether replicates pair by seed, and the scores that are used of each side."""
    common = [seed for seed in one if seed in other]
    if common and len(common) == min(len(one), len(other)):
        return True, ([one[seed] for seed in common], [other[seed] for seed in common])
    return False, (list(one.values()), list(other.values()))


def _resampled(n: int, unit: str, counts: tuple[int, int], paired: bool, by_unit: bool) -> str:
    runs = plural(counts[0], "replicate") if paired else f"{counts[0]} and {plural(counts[1], 'replicate')}"
    seeds = "paired by seed" if paired else "whose seeds do not pair and which are drawn separately"
    return (
        f"{n} {unit}, paired, x {runs}, {seeds}"
        if by_unit
        else f"{runs} alone, {seeds}; the {n} {unit} are not resampled"
    )


def _lost(arm: Finalist, name: str) -> list[str]:
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


def _budgets(a: Finalist, b: Finalist) -> list[str]:
    """Returns a note on what the arms spent.

    There is none where all replicates spent the same steps and samples.
    """
    last = [[run.reports[-1] for run in arm.runs] for arm in (a, b)]
    if len({(report.step, report.samples) for reports in last for report in reports}) == 1:
        return []
    same = len({report.samples for reports in last for report in reports}) == 1
    spent = [
        f"{_span([report.step for report in reports])} steps ({_span([report.samples for report in reports])} samples)"
        for reports in last
    ]
    return [f"{'equal samples in other steps' if same else 'the budgets differ'}: A spent {spent[0]}, B {spent[1]}"]


def _read_at(a: Finalist, b: Finalist, at: At, limit: float) -> list[str]:
    """Returns a note on where the arms were read; none where that is one count for all."""
    found = [[_spent(report, at) for run in arm.runs if (report := _report(run, at, limit))] for arm in (a, b)]
    if all(value == limit for values in found for value in values):
        return []
    unit = "samples" if at == "samples" else "training seconds"
    return [
        f"A was read after {_span(found[0])} {unit}, B after {_span(found[1])}: the last reports before {limit:,.6g}"
    ]


def _informed(a: Finalist, b: Finalist) -> list[str]:
    """Returns a note where the stratifying field is information that a network is given.

    A difference between such strata says what more of it brings, not which network is better.
    """
    one, other = a.sweep.settings, b.sweep.settings
    field = one.stratify
    if not field or other.stratify != field or a.trial.stratum == b.trial.stratum or (meant(one) and meant(other)):
        return []
    return [
        f"A and B differ in {field}, which is information: "
        "this says what more of it brings, not which network is better"
    ]


def _same_rows(a: Finalist, b: Finalist, name: str, one: set[int], other: set[int]) -> list[str]:
    """Returns a note on what is not known of the rows; none where they are known to be the same.

    The rows are the same where a predictor has the same value on every unit of both arms, and its
    values differ between units. Predictors may depend on the stratum. Where no predictor shows it,
    the families' keys of the data decide. Arms of other data may share their rows and still differ
    in what a metric is relative to: then most predictors that show the rows to be the same by some
    metric do not by this one.

    Raises:
        ConfigError: if the rows differ, or what the metric is relative to.
    """
    if one != other or len(one) > 1:
        sizes = [" or ".join(map(str, sorted(sizes))) for sizes in (one, other)]
        raise ConfigError(
            f"units: {a.label} was scored on {sizes[0]} of them, {b.label} on {sizes[1]}, so they do not pair"
        )
    shown_by = _metrics_alike(a, b, *one)
    here = [predictor for predictor, metrics in shown_by.items() if name in metrics]
    if _data_key(a) == _data_key(b):
        return [] if here else _on_trust(a, b, name)
    if not shown_by:
        raise ConfigError(
            f"units: {a.label} and {b.label} have other data, and no predictor scores the same on the rows of both, "
            "so their rows do not pair"
        )
    if 2 * len(here) < len(shown_by):
        predictor = next(predictor for predictor in shown_by if predictor not in here)
        metric = name.split("/", 1)[1]
        raise ConfigError(
            f"metric: {metric} is relative to something that differs between {a.label} and {b.label}: on the same "
            f"rows, {predictor} scores the same by {shown_by[predictor][0].split('/', 1)[1]} and not by {metric}"
        )
    return []


def _metrics_alike(a: Finalist, b: Finalist, units: int) -> dict[str, list[str]]:
    """Returns the metrics by which a predictor scores the same on so many units of both arms.

    They are given by the predictor's name; one without any is left out. Its values must differ
    between units, as equal ones show nothing.
    """
    others = {line.name: line.metrics for line in _lines(b)}
    found: dict[str, list[str]] = {}
    for line in _lines(a):
        for name, measure in line.metrics.items():
            values = measure.units
            theirs = others.get(line.name, {}).get(name)
            varied = len(values) == units and len(set(values)) > 1
            if varied and theirs and np.array_equal(values, theirs.units, equal_nan=True):
                found.setdefault(line.name, []).append(name)
    return found


def _on_trust(a: Finalist, b: Finalist, name: str) -> list[str]:
    """Returns a note that the data alone vouch for the rows, where a predictor might have."""

    def telling(arm: Finalist) -> set[str]:
        return {line.name for line in _lines(arm) if name in line.metrics and len(set(line.metrics[name].units)) > 1}

    return [
        "no trivial predictor has the same values in both arms; the rows are taken to be the same because the data are"
    ] * bool(telling(a) & telling(b))


def _lines(arm: Finalist) -> list[Baseline]:
    return [line for line in arm.sweep.history.baselines if line.stratum == arm.trial.stratum]


def _data_key(arm: Finalist) -> str:
    """Returns the family's key of the arm's data; the sweep's folder where it is not installed."""
    try:
        settings = arm.sweep.settings
        return settings.data_key(settings.model_family().config(arm.trial.config))
    except (ConfigError, ValueError):
        return f"of {arm.sweep.folder}"
