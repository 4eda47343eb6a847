"""What a family owes before anything is trained: an audit of overlap, and trivial predictors.

Sweeps and `leadline train` demand the same, and fail closed: what cannot be judged is refused.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from leadline.config import TrialConfig, as_text
from leadline.errors import ConfigError, told
from leadline.fields_read import watched
from leadline.finding import Finding, as_findings
from leadline.measure import Measure, as_measures
from leadline.plain import text, type_of

if TYPE_CHECKING:
    from leadline.family import Family
    from leadline.task import Split

__all__ = [
    "SCORED",
    "Admission",
    "Baselines",
    "BuiltData",
    "admission",
    "audited",
    "built",
    "compared",
    "differing",
    "is_oracle",
]

SCORED: tuple[Split, ...] = ("validation", "test")
"""The splits on which models and baselines are scored."""

Baselines = dict[str, dict[str, Measure]]
"""The type of scores of trivial predictors: measures by baseline and metric."""


class Admission(NamedTuple):
    """The judgement of a family's data.

    Attributes:
        findings: the audit's findings.
        baselines: scores of trivial predictors, by split.
        refusals: why training is refused; each reason goes on from the word `refused`.
    """

    findings: list[Finding]
    baselines: dict[Split, Baselines]
    refusals: list[str]


@dataclass(frozen=True)
class BuiltData:
    """Data that several configurations share.

    Attributes:
        family: the family that built them.
        config: the configuration that they were built for.
        data: what `Family.build_data` returned.
        read: names of the fields of `config` that it read.
    """

    family: Family[Any]
    config: TrialConfig
    data: Any
    read: frozenset[str]

    def unkeyed(self, config: TrialConfig) -> str:
        """Says why a configuration of the same `data_key` may not use the data; empty if it may.

        It may not if it differs in a field that `build_data` has read: `data_key` leaves it out.
        """
        differ = differing(self.config, config, self.read)
        if not differ:
            return ""
        whole = len(self.read) == len(fields(cast(Any, self.config)))
        reads = f"every field, and so {', '.join(differ)}" if whole else ", ".join(differ)
        here, there = (f"{differ[0]}={as_text(getattr(one, differ[0]))}" for one in (config, self.config))
        mend = "read only the fields that the data depend on" if whole else "put it into the key"
        return (
            f"data_key: {self.family.name}'s build_data reads {reads}, which data_key leaves out: "
            f"{here} would be trained and scored on the data of {there}; {mend}"
        )


def built(family: Family[Any], config: TrialConfig) -> BuiltData:
    """Builds the data of a configuration, and notes which of its fields are read on the way.

    Raises:
        Exception: what `Family.build_data` raises.
    """
    watching, read = watched(config)
    return BuiltData(family, config, family.build_data(watching), frozenset(read))


def differing(one: TrialConfig, other: TrialConfig, among: Collection[str]) -> list[str]:
    """Names of the fields in which two configurations of a family differ, of those `among`."""
    names = [field.name for field in fields(cast(Any, one)) if field.name in among]
    return [name for name in names if getattr(one, name) != getattr(other, name)]


def admission(family: Family[Any], config: Any, data: Any) -> Admission:
    """Judges one configuration and its data; `refusals` is empty where it may be trained."""
    findings, audit = audited(family, config, data)
    baselines, missing = compared(family, config, data)
    return Admission(findings, baselines, audit + missing)


def audited(family: Family[Any], config: Any, data: Any) -> tuple[list[Finding], list[str]]:
    """Runs the family's audit; returns its findings and the reasons to refuse training.

    Reasons are a failed finding, an exception, and that no finding's guard begins with `overlap`.
    """
    try:
        findings = as_findings(family.audit(config, data), "audit")
    except (Exception, SystemExit) as error:
        words = str(error) if isinstance(error, ConfigError) else f"{family.name}'s raised {told(error)}"
        return [], [f"audit: {words.removeprefix('audit: ')}"]
    reasons = [f"by the {finding.guard} audit: {finding.sentence}" for finding in findings if finding.failed]
    if not any(finding.guard.startswith("overlap") for finding in findings):
        reasons.append(f"audit: {family.name}'s has no finding named overlap..., so a leak would go unseen")
    return findings, reasons


def compared(family: Family[Any], config: Any, data: Any) -> tuple[dict[Split, Baselines], list[str]]:
    """Scores the family's baselines on both scored splits; returns them and the reasons to refuse.

    Reasons are that there is no baseline but oracles, none on a metric that needs one, or
    something that is no measure.
    """
    try:
        found = {split: _baselines(family, family.baselines(config, data, split)) for split in SCORED}
    except ConfigError as error:
        return {}, [f"baselines: {str(error).removeprefix('baselines: ')}"]
    trivial = {split: _trivial(baselines) for split, baselines in found.items()}
    if not any(trivial.values()):
        return found, [f"baselines: {family.name} has none that is not an oracle"]
    missing = [
        f"{split}/{metric.name}"
        for split, baselines in trivial.items()
        for metric in family.metrics
        if metric.role != "descriptive"
        and not metric.optional
        and not any(metric.name in measures for measures in baselines.values())
    ]
    return found, [f"baselines: {family.name} has none on {', '.join(missing)}"] if missing else []


def _baselines(family: Family[Any], given: Any) -> Baselines:
    """What `Family.baselines` returned, checked."""
    if not isinstance(given, Mapping):
        raise ConfigError(f"baselines: expected the measures of each baseline by its name (got {type_of(given)})")
    return {
        text(name, "baselines"): as_measures(measures, family.metrics, f"baselines: {name}")
        for name, measures in given.items()
    }


def _trivial(baselines: Mapping[str, dict[str, Measure]]) -> Baselines:
    """The baselines that are no oracles."""
    return {name: measures for name, measures in baselines.items() if not is_oracle(name)}


def is_oracle(name: str) -> bool:
    """Whether a baseline knows the answer, by its name.

    Oracles are shown, and nobody is compared with them.
    """
    return name.startswith("oracle")
