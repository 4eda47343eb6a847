"""What a family owes before anything of it is trained: an audit that speaks of overlap, and a trivial predictor for every score.

Sweeps and `leadline train` demand the same, and fail closed: what cannot be judged is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from leadline.finding import Finding
from leadline.measure import Measure

if TYPE_CHECKING:
    from leadline.family import Family
    from leadline.task import Split

__all__ = ["SCORED", "Admission", "Baselines", "admission", "audited", "compared", "is_oracle"]

SCORED: tuple[Split, ...] = ("validation", "test")

Baselines = dict[str, dict[str, Measure]]
"""Measures by baseline and metric."""


class Admission(NamedTuple):
    """The audit's findings, the baselines by split, and why training is refused: each reason goes on from the word `refused`."""

    findings: list[Finding]
    baselines: dict[Split, Baselines]
    refusals: list[str]


def admission(family: Family[Any], config: Any, data: Any) -> Admission:
    """Judges one configuration and its data; `refusals` is empty where it may be trained."""
    findings, audit = audited(family, config, data)
    baselines, missing = compared(family, config, data)
    return Admission(findings, baselines, audit + missing)


def audited(family: Family[Any], config: Any, data: Any) -> tuple[list[Finding], list[str]]:
    """The audit's findings, and reasons to refuse: it failed, raised, or no finding's guard begins with `overlap`."""
    try:
        findings = list(family.audit(config, data))
    except Exception as error:
        return [], [f"audit: {family.name}'s raised {type(error).__name__}: {' '.join(str(error).split())}"]
    reasons = [f"by the {finding.guard} audit: {finding.sentence}" for finding in findings if finding.failed]
    if not any(finding.guard.startswith("overlap") for finding in findings):
        reasons.append(f"audit: {family.name}'s has no finding named overlap..., so a leak would go unseen")
    return findings, reasons


def compared(family: Family[Any], config: Any, data: Any) -> tuple[dict[Split, Baselines], list[str]]:
    """Every baseline on both scored splits, and reasons to refuse: none that is not an oracle, or none on a declared metric."""
    found = {split: family.baselines(config, data, split) for split in SCORED}
    trivial = {split: _trivial(baselines) for split, baselines in found.items()}
    if not any(trivial.values()):
        return found, [f"baselines: {family.name} has none that is not an oracle"]
    missing = [
        f"{split}/{metric.name}"
        for split, baselines in trivial.items()
        for metric in family.metrics
        if metric.role != "descriptive" and not any(metric.name in measures for measures in baselines.values())
    ]
    return found, [f"baselines: {family.name} has none on {', '.join(missing)}"] if missing else []


def _trivial(baselines: Mapping[str, dict[str, Measure]]) -> Baselines:
    return {name: measures for name, measures in baselines.items() if not is_oracle(name)}


def is_oracle(name: str) -> bool:
    """Whether a baseline knows the answer: it is shown, and nobody is compared with it."""
    return name.startswith("oracle")
