"""The data of a sweep fails closed: what it refuses, and what it records."""

from __future__ import annotations

import dataclasses
import math
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from leadline.config import ConfigError, TrialConfig
from leadline.engine.director import Director
from leadline.engine.ray.shared_data import SharedData
from leadline.finding import Finding
from leadline.ledger.events import Event
from leadline.ledger.format import lines
from leadline.ledger.history import History
from leadline.measure import Measure, Metric
from leadline.training.guards.overlap import overlap
from tests.leadline.engine.test_director import BASE
from tests.leadline.toy import TOY, Toy
from tests.leadline.toy_study import STUDY

Baselines = dict[str, dict[str, Measure]]
ZERO: Baselines = {"zero": {"error": Measure(1.0, 3, 0.5, 1.5, (0.5, 1.0, 1.5))}}


class Audited(Toy):
    """The toy with another audit, or other trivial predictors."""

    name = "audited"

    def __init__(self) -> None:
        self.found: Callable[[], list[Finding]] = lambda: [Finding("overlap_rows", False, 0, "none")]
        self.scores: dict[str, Baselines] = {"validation": ZERO, "test": ZERO}

    def audit(self, config: Any, data: Any) -> list[Finding]:
        return self.found()

    def baselines(self, config: Any, data: Any, split: str) -> Baselines:
        return self.scores[split]


FAMILY = Audited()


@pytest.fixture
def family(monkeypatch: pytest.MonkeyPatch) -> Audited:
    made = Audited()
    monkeypatch.setattr("tests.leadline.engine.ray.test_shared_data.FAMILY", made)
    return made


def _director(events: list[Event] | None = None, **changed: Any) -> Director:
    settings = dataclasses.replace(BASE, family="tests.leadline.engine.ray.test_shared_data:FAMILY", **changed)
    past = list(events or [])
    director = Director(settings, STUDY.space, (lambda event: None) if events is None else events.append)
    director.replay(past)
    if not past:
        director.opened({})
    return director


def _prepared(
    past: list[Event] | None = None, *, first: Sequence[TrialConfig] = (), **changed: Any
) -> tuple[bool, list[Event]]:
    events: list[Event] = list(past or [])
    shared = SharedData(_director(events, **changed), first)
    shared.prepare()
    return shared.ready(), events


def test_products_of_matrices_wait_for_no_thread_that_a_fork_may_end(family: Audited) -> None:
    """While Ray starts, which forks, a product on two threads may wait for one that has ended."""
    found: list[int] = []

    def audit() -> list[Finding]:
        found.extend(library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas")
        return [Finding("overlap_rows", False, 0, "none")]

    family.found = audit
    with threadpool_limits(limits=2, user_api="blas"):
        assert 2 in {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}
        assert _prepared()[0]
    assert set(found) == {1}


def _refused(capsys: pytest.CaptureFixture[str], *words: str) -> None:
    assert _prepared()[0] is False
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("refused ")
    assert all(word in lines[0] for word in words), lines[0]


@pytest.mark.usefixtures("family")
def test_a_family_with_audit_and_baselines_is_trained(capsys: pytest.CaptureFixture[str]) -> None:
    ready, events = _prepared()
    assert ready
    assert not capsys.readouterr().err
    history = History.of(events)
    assert [(line.stratum, line.name) for line in history.baselines] == [("1", "zero"), ("2", "zero")]
    assert [finding["guard"] for finding in history.findings] == ["overlap_rows"]


@pytest.mark.usefixtures("family")
def test_trivial_predictors_keep_their_units_on_test_alone() -> None:
    line = History.of(_prepared()[1]).baselines[0]
    assert line.metrics["test/error"].units == (0.5, 1.0, 1.5)
    assert line.metrics["validation/error"].units == ()


@pytest.mark.usefixtures("family")
def test_what_a_ledger_knows_is_not_recorded_again() -> None:
    _, events = _prepared()
    assert _prepared(events) == (True, events)


def test_an_audit_that_raises_refuses(family: Audited, capsys: pytest.CaptureFixture[str]) -> None:
    def broken() -> list[Finding]:
        raise KeyError("no such\ncolumn")

    family.found = broken
    _refused(capsys, "audit: audited's raised KeyError")


def test_an_audit_of_nothing_refuses(family: Audited, capsys: pytest.CaptureFixture[str]) -> None:
    family.found = lambda: [overlap([1, 2], [], "test rows")]
    _refused(capsys, "audit: audited's raised ValueError: scored: no rows")


@pytest.mark.parametrize("found", [[], [Finding("table", False, 0, "the rows are whole")]])
def test_an_audit_without_overlap_refuses(
    family: Audited, capsys: pytest.CaptureFixture[str], found: list[Finding]
) -> None:
    family.found = lambda: found
    _refused(capsys, "audit: audited's has no finding named overlap")


def test_a_failed_audit_refuses_and_is_recorded(family: Audited, capsys: pytest.CaptureFixture[str]) -> None:
    family.found = lambda: [overlap(["jump", "walk"], ["jump"], "test commands")]
    _refused(capsys, "by the overlap_test_commands audit: 1 of 1 test commands (100.0%)")
    assert [finding["failed"] for finding in History.of(_prepared()[1]).findings] == [True]


def test_oracles_are_no_trivial_predictors(family: Audited, capsys: pytest.CaptureFixture[str]) -> None:
    oracle: Baselines = {"oracle: the answer": ZERO["zero"]}
    family.scores = {"validation": oracle, "test": oracle}
    assert _prepared()[0] is False
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        f"refused baselines: audited has none that is not an oracle (stratum {stratum})" for stratum in (1, 2)
    ]


@pytest.mark.parametrize("split", ["validation", "test"])
def test_a_split_without_baselines_refuses(family: Audited, capsys: pytest.CaptureFixture[str], split: str) -> None:
    family.scores[split] = {}
    assert _prepared()[0] is False
    assert f"refused baselines: audited has none on {split}/error (stratum 1)" in capsys.readouterr().err


def test_a_metric_without_baseline_refuses(
    family: Audited, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Audited, "metrics", (*Toy.metrics, Metric("rank", "min", "rows", "mean rank")))
    assert _prepared()[0] is False
    assert "has none on validation/rank, test/rank (stratum 1)" in capsys.readouterr().err


def test_data_that_cannot_be_built_raises(family: Audited, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Audited, "build_data", lambda self, config: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        _prepared()


def test_the_toy_passes() -> None:
    assert [finding.guard for finding in TOY.audit(TOY.Config(), None)] == ["overlap"]


def test_an_exit_while_data_is_built_is_an_error_with_its_words(
    family: Audited, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Audited, "build_data", lambda self, config: sys.exit("my data went missing"))
    with pytest.raises(RuntimeError, match=r"^sys.exit was called: my data went missing$"):
        _prepared()


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (["3 rows are shared"], "audit: expected a list of leadline.Finding (got a str)"),
        (None, "audit: expected a list of leadline.Finding (got None)"),
    ],
)
def test_an_audit_of_other_types_refuses(
    family: Audited, capsys: pytest.CaptureFixture[str], found: Any, words: str
) -> None:
    family.found = lambda: found
    _refused(capsys, words)


@pytest.mark.parametrize(
    ("scores", "words"),
    [
        ({"zero": {"error": 1.0}}, "baselines: zero: error: expected a Measure"),
        ({"zero": {"rank": Measure.exact(1.0)}}, "baselines: zero: returned 'rank', which is no metric"),
        ({"zero": 1.0}, "baselines: zero: expected a Measure for each of error, by name (got a float)"),
        ([], "baselines: expected the measures of each baseline by its name (got a list)"),
    ],
)
def test_baselines_of_other_types_refuse(
    family: Audited, capsys: pytest.CaptureFixture[str], scores: Any, words: str
) -> None:
    family.scores["test"] = scores
    assert _prepared()[0] is False
    assert capsys.readouterr().err.startswith(f"refused {words}")


def test_an_audit_without_a_number_is_recorded(family: Audited) -> None:
    family.found = lambda: [Finding("overlap_rows", False, math.nan, "not counted")]
    ready, events = _prepared()
    assert ready
    assert b'"number": null' in lines([event.to_dict() for event in events])


@pytest.mark.parametrize("key", [3, ["a"], None])
def test_a_key_of_data_that_is_no_text_is_refused(
    family: Audited, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], key: Any
) -> None:
    monkeypatch.setattr(Audited, "data_key", lambda self, config: key)
    _refused(capsys, "refused data_key: tests", "FAMILY's must be text (got ")


def test_what_the_data_want_of_the_user_is_one_line(
    family: Audited, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def build(self: Audited, config: Any) -> Any:
        raise ConfigError("start: there is no checkpoint\nat nowhere")

    monkeypatch.setattr(Audited, "build_data", build)
    _refused(capsys, "refused start: there is no checkpoint at nowhere")


class Rows:
    def __init__(self) -> None:
        self.values = np.zeros(3)
        self.lock = threading.Lock()


@pytest.mark.parametrize(
    ("data", "place"),
    [
        ({"train": {"rows": np.zeros(3), "lock": threading.Lock()}}, "train.lock"),
        ({"train": [1, Rows()]}, "train.1.lock"),
        ({"open": (part for part in "ab")}, "open"),
    ],
)
def test_data_that_cannot_be_pickled_is_one_line_that_names_the_part(
    family: Audited, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], data: Any, place: str
) -> None:
    monkeypatch.setattr(Audited, "build_data", lambda self, config: data)
    shared = SharedData(_director())
    shared.prepare()
    assert shared.ready()
    capsys.readouterr()
    assert not shared.share()  # no Ray is needed to find it
    told = capsys.readouterr().err
    assert told.startswith(f"refused build_data: {place} cannot be pickled: cannot pickle '")
    assert told.count("\n") == 1


FORGOTTEN = (
    "data_key: audited's build_data reads level, which data_key leaves out: "
    "level=2 would be trained and scored on the data of level=1; put it into the key"
)


def test_strata_that_share_a_key_and_differ_in_what_is_read_are_refused(
    family: Audited, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Audited, "build_data", lambda self, config: [config.level])
    _refused(capsys, FORGOTTEN)
    monkeypatch.setattr(Audited, "data_key", lambda self, config: f"level {config.level}")
    assert _prepared()[0] is True


@pytest.mark.usefixtures("family")
def test_a_proposal_that_differs_in_what_is_read_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Audited, "build_data", lambda self, config: [config.offset])
    first = BASE.configure({}, 1, 7)
    searched = BASE.configure({"offset": 0.5}, 1, 7)
    assert _prepared(first=[first])[0] is True
    assert _prepared(first=[first, searched])[0] is False
    assert "audited's build_data reads offset, which data_key leaves out: offset=0.5" in capsys.readouterr().err


@pytest.mark.usefixtures("family")
def test_data_of_a_seed_are_refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Whether the key says so or not: the data of a sweep are built before its seeds are drawn."""
    monkeypatch.setattr(Audited, "build_data", lambda self, config: [config.seed])
    first = [BASE.configure({}, 1, 7)]
    assert _prepared(first=first)[0] is False
    assert "reads seed, which data_key leaves out: seed=7" in capsys.readouterr().err
    monkeypatch.setattr(Audited, "data_key", lambda self, config: f"seed {config.seed}")
    assert _prepared(first=first)[0] is False
    assert capsys.readouterr().err.startswith("refused data_key: audited's changes with seed")


@pytest.mark.usefixtures("family")
def test_a_proposal_in_the_middle_of_a_search_fails_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Audited, "build_data", lambda self, config: [config.offset])
    director = _director()
    shared = SharedData(director)
    shared.prepare()
    assert shared.ready()
    director.admits = shared.admit
    assert director.next() == "done"
    assert {trial.brief.partition(":")[0] for trial in director.history.trials.values()} == {"infeasible"}
    assert "reads offset, which data_key leaves out" in director.history.trials[0].reason


@pytest.mark.usefixtures("family")
def test_a_longer_budget_on_other_data_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The trials that were trained under the shorter one would be compared with those of other data."""
    events: list[Event] = []
    director = _director(events)
    director.next()
    assert _prepared(events, budget=54)[0] is True
    monkeypatch.setattr(Audited, "build_data", lambda self, config: [config.steps])
    assert _prepared(events)[0] is True
    capsys.readouterr()
    assert _prepared(events, budget=54)[0] is False
    assert "build_data reads steps, which data_key leaves out: steps=" in capsys.readouterr().err


@pytest.mark.parametrize(("reads", "times"), [("seed", 1), ("level", 2)])
def test_an_audit_is_repeated_for_strata_that_differ_in_what_it_reads(
    family: Audited, monkeypatch: pytest.MonkeyPatch, reads: str, times: int
) -> None:
    audited: list[Any] = []

    def audit(self: Audited, config: Any, data: Any) -> list[Finding]:
        audited.append(getattr(config, reads))
        return [Finding("overlap_rows", False, 0, f"none of {audited[-1]}")]

    monkeypatch.setattr(Audited, "audit", audit)
    ready, events = _prepared()
    assert ready
    assert len(audited) == times
    assert len(History.of(events).findings) == times
