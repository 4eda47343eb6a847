"""What is refused, and in which words; `leadline train` and a sweep have tests of their own."""

from __future__ import annotations

from typing import Any

import pytest

from leadline.admission import SCORED, admission, built, is_oracle
from leadline.config import to_dict
from leadline.finding import Finding
from leadline.measure import Measure, Metric
from leadline.task import Split
from tests.leadline.toy import TOY, Toy

ONE = {"error": Measure.exact(1.0, 4)}


class Case(Toy):
    """The toy with what a test says of it."""

    name = "case"

    def __init__(
        self, found: list[Finding] | None = None, scores: dict[Split, dict[str, dict[str, Measure]]] | None = None
    ) -> None:
        self.found, self.scores = found, scores

    def audit(self, config: Any, data: Any) -> list[Finding]:
        return super().audit(config, data) if self.found is None else self.found

    def baselines(self, config: Any, data: Any, split: Split) -> dict[str, dict[str, Measure]]:
        return super().baselines(config, data, split) if self.scores is None else self.scores[split]


def refusals(family: Toy) -> list[str]:
    return admission(family, family.Config(), family.build_data(family.Config())).refusals


def test_a_family_that_owes_nothing_is_admitted() -> None:
    admitted = admission(TOY, TOY.Config(), None)
    assert admitted.refusals == []
    assert [finding.guard for finding in admitted.findings] == ["overlap"]
    assert admitted.baselines == {split: {"zero": ONE} for split in SCORED}


def test_every_reason_is_said() -> None:
    failed = [Finding("rows", True, 2, "2 rows are torn"), Finding("overlap_rows", True, 3, "3 rows are shared")]
    assert refusals(Case(failed)) == [
        "by the rows audit: 2 rows are torn",
        "by the overlap_rows audit: 3 rows are shared",
    ]
    assert refusals(Case(failed[:1], {"validation": {}, "test": {}})) == [
        "by the rows audit: 2 rows are torn",
        "audit: case's has no finding named overlap..., so a leak would go unseen",
        "baselines: case has none that is not an oracle",
    ]


@pytest.mark.parametrize("split", SCORED)
def test_an_oracle_is_compared_with_on_neither_split(split: Split) -> None:
    scores: dict[Split, dict[str, dict[str, Measure]]] = {"validation": {"zero": ONE}, "test": {"zero": ONE}}
    scores[split] = {"oracle": ONE}
    assert refusals(Case(scores=scores)) == [f"baselines: case has none on {split}/error"]


def test_every_metric_needs_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Case, "metrics", (*Toy.metrics, Metric("rank", "min", "rows", "mean rank")))
    assert refusals(Case()) == ["baselines: case has none on validation/rank, test/rank"]
    monkeypatch.setattr(Case, "metrics", (*Toy.metrics, Metric("rank", "min", "rows", "mean rank", optional=True)))
    assert refusals(Case()) == []


def test_an_audit_that_raises_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Case, config: Any, data: Any) -> list[Finding]:
        raise KeyError("no such\ncolumn")

    monkeypatch.setattr(Case, "audit", broken)
    assert refusals(Case()) == [r"audit: case's raised KeyError: 'no such\ncolumn'"]


def test_oracles_by_their_name() -> None:
    assert [is_oracle(name) for name in ("oracle: steps to 1", "oracle", "constant", "no oracle")] == [
        True,
        True,
        False,
        False,
    ]


class Reads(Toy):
    """The toy whose data depend on some fields."""

    name = "reads"

    def __init__(self, *fields: str) -> None:
        self.fields = fields

    def build_data(self, config: Any) -> Any:
        return to_dict(config) if self.fields == ("all",) else [getattr(config, name) for name in self.fields]


@pytest.mark.parametrize(
    ("family", "changed", "said"),
    [
        (Reads("level"), {"lr": 0.5, "seed": 3, "steps": 7}, ""),
        (
            Reads("level", "lr"),
            {"lr": 0.5, "level": 2, "seed": 3},
            "data_key: reads's build_data reads lr, level, which data_key leaves out: "
            "lr=0.5 would be trained and scored on the data of lr=0.1; put it into the key",
        ),
        (
            Reads("all"),
            {"seed": 3},
            "data_key: reads's build_data reads every field, and so seed, which data_key leaves out: "
            "seed=3 would be trained and scored on the data of seed=0; read only the fields that the data depend on",
        ),
    ],
)
def test_data_are_for_configurations_that_agree_in_what_was_read(
    family: Reads, changed: dict[str, Any], said: str
) -> None:
    made = built(family, family.config({}))
    assert made.data == Reads.build_data(family, made.config)
    assert made.unkeyed(made.config) == ""
    assert made.unkeyed(family.config(changed)) == said
