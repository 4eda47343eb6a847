"""What a task may return, and what the loop refuses by its name."""

from __future__ import annotations

import datetime
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from leadline.checkpoint import CheckpointStore
from leadline.config import ConfigError
from leadline.measure import Measure, Metric, Report
from leadline.storage import Folder
from leadline.training.guards.guard import Guard
from leadline.training.loop import Loop
from tests.leadline.toy import Toy, ToyTask


class Odd(Toy):
    """The toy with one method of its task, or guards, from a test."""

    def __init__(self, method: str = "", returns: Any = None, guards: Callable[[], list[Guard]] = list) -> None:
        self.method, self.returns, self.made = method, returns, guards

    def task(self, config: Any, data: Any, device: torch.device) -> ToyTask:
        task = super().task(config, data, device)
        if self.method:
            setattr(task, self.method, lambda *_: self.returns)
        return task

    def guards(self, config: Any) -> list[Guard]:
        return self.made()


def _last(family: Odd, folder: Path) -> Report:
    store = CheckpointStore(Folder.at(str(folder)), 1)
    loop = Loop(family, family.config({"steps": 4, "eval_every": 2}), None, store=store, test=True)
    return list(loop.run())[-1]


@pytest.mark.parametrize(
    ("method", "returns", "words"),
    [
        ("evaluate", {"error": 0.5}, "evaluate: error: expected a Measure, such as leadline.mean_over_units(...) (got a float)"),  # noqa: E501
        ("evaluate", {"error": np.float64(0.5)}, "evaluate: error: expected a Measure"),
        ("evaluate", 0.5, "evaluate: expected a Measure for each of error, by name (got a float)"),
        ("evaluate", {"error": Measure.exact(1), "rank": Measure.exact(1)}, "evaluate: returned 'rank', which is no"),
        ("evaluate", {}, "evaluate: returned no 'error', which toy declares"),
        ("facts", {"size": "large"}, "facts: size: expected a number (got a str)"),
        ("facts", {"size": np.zeros(2)}, "facts: size: expected a number (got a ndarray)"),
        ("facts", {7: 1.0}, "facts: 7: expected text (got an int)"),
        ("facts", None, "facts: expected values by name (got None)"),
        ("tallies", {"hits": (1, 2)}, "tallies: hits: expected a tensor [2], a sum and a count (got a tuple)"),
        ("tallies", {"hits": torch.zeros(3)}, "tallies: hits: expected a tensor [2]"),
        ("samples", "4", "samples: expected a number (got a str)"),
        ("samples", -4, "samples: expected a whole number from 0 to 2**63 - 1 (got -4)"),
        ("state_dict", {"pool": datetime.date(2020, 1, 1)}, "state_dict: task.pool: a date cannot be read back"),
        ("state_dict", {"best": np.float64(0.5)}, "state_dict: task.best: a float64 cannot be read back"),
    ],
)  # fmt: skip
def test_what_cannot_be_recorded_fails_the_trial_with_its_name(
    method: str, returns: Any, words: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError) as refused:
        _last(Odd(method, returns), tmp_path)
    assert str(refused.value).startswith(words)


class Sometimes(Odd):
    """Has a metric that some configurations have none of."""

    metrics: ClassVar[tuple[Metric, ...]] = (*Odd.metrics, Metric("rank", "min", "rows", "place", optional=True))


def test_an_optional_metric_may_be_missing_and_is_reported_where_there_is_one(tmp_path: Path) -> None:
    error = {"error": Measure.exact(1)}
    assert set(_last(Sometimes("evaluate", error), tmp_path / "none").metrics) == {"validation/error", "test/error"}
    both = _last(Sometimes("evaluate", {**error, "rank": Measure.exact(2)}), tmp_path / "both").metrics
    assert both["test/rank"].value == 2
    with pytest.raises(ConfigError, match="returned no 'error'"):
        _last(Sometimes("evaluate", {"rank": Measure.exact(2)}), tmp_path / "other")
    with pytest.raises(ConfigError, match="returned no 'rank'"):
        list(Loop(family := Sometimes("evaluate", error), family.config({"steps": 4}), None, metric="rank").run())
    optional = Sometimes.metrics[-1]
    assert Metric.from_dict("rank", optional.to_dict()) == optional
    assert "optional" not in Odd.metrics[0].to_dict()


def test_numpys_and_torchs_numbers_are_reported_as_plain_ones(tmp_path: Path) -> None:
    facts = {"int": np.int64(3), "half": np.float16(0.5), "tensor": torch.tensor(2.0), "none": torch.tensor(math.nan)}
    report = _last(Odd("facts", facts), tmp_path / "facts")
    plain = json.loads(json.dumps(report.to_dict(), allow_nan=False))["facts"]
    assert {name: plain[name] for name in facts} == {"int": 3, "half": 0.5, "tensor": 2.0, "none": None}
    assert _last(Odd("samples", np.int64(4)), tmp_path / "samples").samples == 16


def test_a_test_score_with_a_unit_that_is_no_number_is_reported(tmp_path: Path) -> None:
    measure: Any = Measure(torch.tensor(0.5), np.int64(3), 0, 1, np.array([0.5, math.nan, 1.0]))  # type: ignore[arg-type]
    report = _last(Odd("evaluate", {"error": measure}), tmp_path)
    plain = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert plain["metrics"]["test/error"] == {"value": 0.5, "low": 0.0, "high": 1.0, "n": 3, "units": [0.5, None, 1.0]}
    [found] = CheckpointStore(Folder.at(str(tmp_path))).intact([report.checkpoint or ""])
    assert found.record["history"][-1]["metrics"] == plain["metrics"]


class Talking(Guard):
    name = "talking"

    def report(self, interval: Any) -> Any:
        return ["all is well"]


def test_a_guard_that_returns_something_else_is_left_out_and_says_so(tmp_path: Path) -> None:
    store = CheckpointStore(Folder.at(str(tmp_path)), 1)
    family = Odd(guards=lambda: [Talking()])
    reports = list(Loop(family, family.config({"steps": 4, "eval_every": 2}), None, store=store).run())
    [finding] = [finding for report in reports for finding in report.findings if finding.guard == "talking"]
    assert "expected a list of leadline.Finding (got a str)" in finding.sentence
