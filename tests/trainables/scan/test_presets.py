"""The log's run and its variants as configurations, and which of them the audit refuses."""

from __future__ import annotations

import math

import pytest

from leadline.admission import audited
from leadline.config import ConfigError, make, to_dict
from trainables.scan.config import ScanConfig
from trainables.scan.family import SCAN
from trainables.scan.presets import PRESETS, STEPS, logged
from trainables.scan.task import _decay, network


def test_the_log_s_run() -> None:
    """Four stages of ten epochs of 39,708 rows in batches of 32, each at a lower rate."""
    config = logged("log")
    assert make(ScanConfig, to_dict(config)) == config == PRESETS["log"](1.0)
    assert sum(p.numel() for p in network(config).parameters() if p.requires_grad) == 327_818
    assert (config.steps, config.batch, config.lr, config.clip, config.clip_by) == (STEPS, 32, 1e-3, 1.0, "value")
    assert STEPS == 49_635
    assert (config.split, config.protocol, config.modified_cap) == ("pooled", "logged", 1100)
    assert (config.schedule, config.warmup, config.weight_decay) == ("constant", 0, 0)
    assert {_decay(config, step) for step in (0, 1, STEPS // 2, STEPS - 1)} == {1.0}
    stages = config.curriculum.stages
    assert [stage.share for stage in stages] == [1 / 4] * 4
    assert [stage.rate * config.lr for stage in stages] == pytest.approx([1e-3, 5e-4, 2e-4, 1e-4])
    assert [stage.numbers["modified"] for stage in stages] == [0, 0.3, 0.5, 0.7]
    assert [stage.choices["rules"] for stage in stages] == [("base",), *3 * [("simple", "complex", "novel")]]


def test_a_rate_warms_up_and_falls_by_the_cosine() -> None:
    """A warm-up of ten of 100 steps rises by elevenths."""
    config = SCAN.config({"steps": 100, "eval_every": 50, "warmup": 0.1, "schedule": "cosine"})
    found = [_decay(config, step) for step in (0, 9, 50, 75, 100)]
    assert found == pytest.approx([1 / 11, 10 / 11, 0.5, 0.5 - 0.25 * math.sqrt(2), 0.0])


def test_what_the_log_meant() -> None:
    kinds = [stage.choices["rules"] for stage in logged("meant").curriculum.stages]
    assert kinds == [("base",), ("simple",), ("simple", "complex"), ("simple", "complex", "novel")]


@pytest.mark.parametrize(("preset", "refused"), [("pooled", True), ("log", False), ("meant", False)])
def test_the_pooled_split_is_refused_unless_the_log_s_protocol_is_asked_for(preset: str, refused: bool) -> None:
    config = logged(preset, 0.01)
    findings, reasons = audited(SCAN, config, SCAN.build_data(config))
    leaks = [finding for finding in findings if finding.guard == "overlap_test_commands"]
    assert any("protocol=logged" in reason for reason in reasons) is refused
    assert bool(reasons) is refused
    assert (leaks[0].number > 7000) is (config.split == "pooled")


def test_a_scale_shrinks_the_steps() -> None:
    assert logged("meant", 0.01).steps == round(STEPS * 0.01)
    for name, scale, field in (("run7", 1.0, "preset"), ("log", 0.0, "scale"), ("log", math.nan, "scale")):
        with pytest.raises(ConfigError, match=f"^{field}"):
            logged(name, scale)
