"""What is measured and reported: values with their number of independent units and an interval.

A family declares each `Metric` once, and its task and its baselines return a `Measure` for it. The
loop puts measures into a `Report`, which is what the ledger keeps.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from leadline.errors import ConfigError
from leadline.finding import Finding
from leadline.plain import number, text, type_of, whole

__all__ = ["PART", "Measure", "Measures", "Metric", "Report", "Role", "Series", "as_measures", "sign"]


def sign(mode: str) -> float:
    """Returns the factor after which smaller is better: 1 for a metric of mode min, -1 for max."""
    return 1.0 if mode == "min" else -1.0


PART = "part"
"""The split under which a report has the measures of a part of validation, as `part/mse`."""

Role = Literal["score", "common", "coverage", "descriptive"]
"""What a metric is to a report.

`score`: how well a model does. `common`: the same on the rows that are alike in every stratum,
which a report shows beside the objective. `coverage`: the share of rows whose input contains the
answer, which a report says of each stratum. `descriptive`: what a model is like rather than how
well it does, such as an exponent of its dynamics: a trivial predictor has none, so none is asked of
it.
"""


@dataclass(frozen=True)
class Series:
    """A metric's place among metrics that are one quantity at growing strengths.

    Metrics whose series have the same `name` are drawn as one line, over `at`.

    Attributes:
        name: the quantity's name, which all metrics of the series share.
        at: the strength at which this metric measures it.
        axis: what `at` is.
        unit: the unit of `at`; empty where it has none.
        label: `at` as tables write it; empty for four significant digits.
        doc: what a reader sees in the line, said below the figure.
    """

    name: str
    at: float
    axis: str = "strength"
    unit: str = ""
    label: str = ""
    doc: str = ""

    @property
    def position(self) -> str:
        """The strength as tables write it."""
        return self.label or f"{self.at:.4g}"


@dataclass(frozen=True)
class Metric:
    """A quantity that a family reports, as its `metrics` declare it.

    A report knows no metric by its name: `role` and `series` say what it may do with it.

    Attributes:
        name: the name under which `Task.evaluate` and the baselines return it.
        mode: whether smaller or larger values are better, min or max.
        unit: what `Measure.n` counts: the independent units behind the interval, such as "boards".
        doc: what it is, in a few words that stand beside it in tables.
        role: what it is to a report; see `Role`.
        series: its place among metrics that are one quantity at growing strengths, if it has one.
        optional: whether some configurations have none, such as a score on new rules where nothing
            shows them. The contract suite asks for a trivial predictor wherever it is reported.
    """

    name: str
    mode: Literal["min", "max"]
    unit: str
    doc: str
    role: Role = "score"
    series: Series | None = None
    optional: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Returns plain JSON values without the name.

        The ledger keeps them, so that a report needs no family.
        """
        plain: dict[str, Any] = dataclasses.asdict(self)
        del plain["name"]
        if not self.optional:
            del plain["optional"]  # which ledgers of before have not
        return plain

    @staticmethod
    def from_dict(name: str, plain: Mapping[str, Any]) -> Metric:
        """Makes the metric that `to_dict` was called on; `plain` is what that returned."""
        series = plain.get("series")
        return Metric(name, **{**plain, "series": Series(**series) if series else None})


@dataclass(frozen=True)
class Measure:
    """A value, the number `n` of independent units behind it, and its 95 % interval [low, high].

    `leadline.mean_over_units` makes one from a value for each unit. Units are independent: rows of
    one orbit, or the cells of one board, are one unit. A value without spread (an exact count, a
    rate of the machine) has low = high = value.

    Attributes:
        value: the estimate; NaN or infinite where the model's output is.
        n: the number of units.
        low: the lower end of the interval.
        high: the upper end of the interval.
        units: the values of the single units, in the same order for every trial, where `value` is
            their mean; else empty. Comparisons of two trials pair them; where one is not finite,
            nothing is claimed.

    Raises:
        ConfigError: naming the attribute, if it is no number.
    """

    value: float
    n: int
    low: float
    high: float
    units: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        # A family may return numpy's scalars and arrays, or tensors, which no ledger can hold.
        for name in ("value", "low", "high"):
            if type(getattr(self, name)) is not float:
                object.__setattr__(self, name, float(number(getattr(self, name), f"Measure: {name}")))
        if type(self.n) is not int or not 0 <= self.n < 2**63:
            object.__setattr__(self, "n", whole(self.n, "Measure: n"))
        if type(self.units) is not tuple or any(type(unit) is not float for unit in self.units):
            units = self.units.tolist() if hasattr(self.units, "tolist") else self.units
            if not isinstance(units, list | tuple):
                raise ConfigError(f"Measure: units: expected a number for each unit (got {type_of(self.units)})")
            object.__setattr__(self, "units", tuple(float(number(unit, "Measure: units")) for unit in units))

    @staticmethod
    def exact(value: float, n: int = 1) -> Measure:
        """Makes the measure of a value that is not an estimate."""
        return Measure(float(value), n, float(value), float(value))

    def to_dict(self, *, units: bool = False) -> dict[str, Any]:
        """Returns plain JSON values, non-finite numbers as None.

        Args:
            units: whether the values of the single units are among them.
        """
        numbers = {name: getattr(self, name) for name in ("value", "low", "high")}
        plain: dict[str, Any] = {name: x if math.isfinite(x) else None for name, x in numbers.items()}
        if units and self.units:
            return {**plain, "n": self.n, "units": [unit if math.isfinite(unit) else None for unit in self.units]}
        return {**plain, "n": self.n}

    @staticmethod
    def from_dict(plain: dict[str, Any]) -> Measure:
        """Makes the measure that `to_dict` was called on; None comes back as NaN."""
        value, low, high = [
            math.nan if number is None else number for number in (plain["value"], plain["low"], plain["high"])
        ]
        units = tuple(math.nan if unit is None else unit for unit in plain.get("units", ()))
        return Measure(value, int(plain["n"]), low, high, units)


def as_measures(given: Any, metrics: Iterable[Metric], place: str) -> dict[str, Measure]:
    """Checks what a family returned: measures by the names of its metrics.

    Args:
        given: what was returned.
        metrics: the family's metrics.
        place: who returned it, with which the error begins.

    Raises:
        ConfigError: if it is no mapping, or holds another name or anything but a `Measure`.
    """
    known = [metric.name for metric in metrics]
    if not isinstance(given, Mapping):
        raise ConfigError(f"{place}: expected a Measure for each of {', '.join(known)}, by name (got {type_of(given)})")
    for name, measure in given.items():
        if name not in known:
            raise ConfigError(f"{place}: returned {name!r}, which is no metric; the metrics are {', '.join(known)}")
        if not isinstance(measure, Measure):
            expected = "expected a Measure, such as leadline.mean_over_units(...)"
            raise ConfigError(f"{place}: {name}: {expected} (got {type_of(measure)})")
    return {text(name, place): measure for name, measure in given.items()}


class Measures(Mapping[str, Measure]):
    """Recorded measures by name, each made when it is asked for: most of a long ledger's never are.

    Args:
        plain: name to `Measure.to_dict`.
    """

    def __init__(self, plain: Mapping[str, dict[str, Any]]) -> None:
        self._plain = plain

    def __getitem__(self, name: str) -> Measure:
        return Measure.from_dict(self._plain[name])

    def value(self, name: str) -> float:
        """The value of a measure, without building the `Measure`."""
        number = self._plain[name]["value"]
        return math.nan if number is None else float(number)

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """What was recorded, as it was."""
        return dict(self._plain)

    def __contains__(self, name: object) -> bool:
        return name in self._plain

    def __iter__(self) -> Iterator[str]:
        return iter(self._plain)

    def __len__(self) -> int:
        return len(self._plain)


@dataclass(frozen=True)
class Report:
    """What a trial reports at each evaluation.

    Attributes:
        step: the trial's own count of optimizer steps, monotonic across attempts.
        samples: samples trained on so far, as `Task.samples` counts them.
        seconds: seconds of training alone, summed over all attempts.
        overhead: seconds of evaluating, saving, guards and the choice of a micro-batch, summed over
            all attempts.
        metrics: measures by `split/metric`, such as `validation/mse`; by `part/mse` where a part of
            validation was scored, be it alone or beside all of it.
        facts: other numbers by name: the loss and its terms, the learning rate, `Task.facts`.
        checkpoint: the name of the checkpoint that was published with the report; None without one.
        findings: what the guards have found since the report before.
    """

    step: int
    samples: int
    seconds: float
    overhead: float
    metrics: Mapping[str, Measure]
    facts: dict[str, float] = field(default_factory=dict)
    checkpoint: str | None = None
    findings: tuple[Finding, ...] = ()

    @property
    def whole(self) -> bool:
        """Whether all of a split was scored, rather than a part of validation alone."""
        return any(not name.startswith(f"{PART}/") for name in self.metrics)

    def value(self, name: str) -> float:
        """The value of a metric, named `split/metric`.

        Raises:
            KeyError: if it is not reported.
        """
        return self.metrics.value(name) if isinstance(self.metrics, Measures) else self.metrics[name].value

    def to_dict(self) -> dict[str, Any]:
        """Returns plain JSON values.

        Values per unit are kept for the test split alone, where confirmation resamples them.
        """
        facts = {name: value if math.isfinite(value) else None for name, value in self.facts.items()}
        if isinstance(self.metrics, Measures):  # what was recorded need not be taken apart to be recorded again
            metrics = self.metrics.to_dict()
        else:
            metrics = {name: measure.to_dict(units=name.startswith("test/")) for name, measure in self.metrics.items()}
        return {
            **vars(self),
            "metrics": metrics,
            "facts": facts,
            "findings": [finding.to_dict() for finding in self.findings],
        }

    @staticmethod
    def from_dict(plain: dict[str, Any]) -> Report:
        """Makes the report that `to_dict` was called on; None comes back as NaN."""
        facts = {name: math.nan if value is None else value for name, value in plain["facts"].items()}
        metrics = Measures(plain["metrics"])
        findings = tuple(Finding.from_dict(finding) for finding in plain.get("findings", ()))
        return Report(**{**plain, "metrics": metrics, "facts": facts, "findings": findings})
