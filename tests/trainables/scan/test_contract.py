"""The family keeps the contract, with each of its networks and with a curriculum of rules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from leadline.testing import FamilyContract, Outcome
from trainables.scan.family import SCAN
from trainables.scan.rules import pairs

FEW = ("jump->walk", "left<->right", "twice=once", "run=walk*2")
TINY = {
    "split": "fewshot_num8", "rules": " ".join((*FEW, *pairs(FEW))), "width": 8, "batch": 8, "steps": 14,
    "eval_every": 4, "eval_commands": 8, "eval_rules": 3,
}  # fmt: skip
"""14 is no multiple of 4: the last report comes early. Its test is the smallest, of 1,173 commands."""
RULES = "base:1/2,rules:1/2:modified=0.5:rules=simple+complex+novel:rate=0.5:ramp=1"


class TestScan(FamilyContract):
    """The LSTM with attention, which learns rules in its second stage."""

    family = SCAN
    small: ClassVar[Mapping[str, Any]] = {**TINY, "stages": RULES}
    bad = (
        {"split": "jump"},
        {"beam": 0},
        {"eval_commands": 1},
        {"widht": 3},
        {"model": "gru"},
        {"stages": "joint:1:rules=simple"},
        {"stages": "joint:1:modified=0.5"},
        {"stages": "joint:1:modified=0.5:rules=simpel"},
        {"stages": "joint:1/2"},
        {"stages": "joint:1:modified=2:rules=simple"},
    )
    bad_inputs = ("", "jump jump", "jump thrice twice", 3, None, ("jump", "no such rule"), ("jump", "jump", "jump"))
    learns = (
        {"width": 24, "batch": 32, "lr": 0.01, "steps": 60, "eval_every": 60, "stages": "joint:1"},
        "tokens",
        "most frequent answer",
    )
    kills = 2

    def test_the_second_stage_trains_rules(self, whole: Outcome) -> None:
        """So that the tests above run through both stages, and through the ramp between them."""
        assert [report.step for report in whole.reports] == [4, 7, 8, 12, 14]
        shares = [report.facts["modified"] for report in whole.reports]
        assert shares[:3] == [0, 0, 0]
        assert 0 < shares[3] < shares[4] < 0.5


class TestScanTransformer(FamilyContract):
    family = SCAN
    small: ClassVar[Mapping[str, Any]] = {**TINY, "model": "transformer", "layers": 1, "dropout": 0.1}
    bad = ({"heads": 3}, {"width": 10}, {"expansion": 17})
    learns = (
        {"width": 32, "batch": 32, "lr": 0.003, "steps": 60, "eval_every": 60, "dropout": 0.0},
        "tokens",
        "most frequent answer",
    )
    kills = 1
    test_what_was_published_is_reported_after_a_kill = None  # type: ignore[assignment]  # once is enough


class TestLoggedLSTM(FamilyContract):
    family = SCAN
    small: ClassVar[Mapping[str, Any]] = {
        **TINY, "model": "lstm",  "clip_by": "value", "schedule": "constant", "smoothing": 0.1,
        "stages": RULES, "modified_cap": 5000, "micro_batch": 4,
    }  # fmt: skip
    bad = ({"reads_rules": False},)
    learns = (
        {"width": 32, "batch": 32, "lr": 0.01, "steps": 60, "eval_every": 60, "stages": "joint:1"},
        "tokens",
        "most frequent answer",
    )
    kills = 1
    test_what_was_published_is_reported_after_a_kill = None  # type: ignore[assignment]
