"""Cost, early stopping, and what guards found, from histories whose numbers are known."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import pytest

from leadline import Sweep
from leadline.analysis import cost, early_stopping, progress
from leadline.analysis.report import document, guard_findings
from leadline.commands.dispatch import main
from leadline.engine.director import Assignment
from leadline.finding import Finding
from leadline.ledger.history import History
from leadline.measure import Measure
from tests.leadline.analysis import conftest

Build = Any


@pytest.fixture
def history(finished: Path) -> History:
    return Sweep.open(finished).history


def test_sums_over_trials(history: History) -> None:
    found = cost.cost(history)
    last = [trial.reports[-1] for trial in history.trials.values() if trial.reports]
    assert found.steps == sum(report.step for report in last)
    assert found.samples == 32 * found.steps
    assert found.training == pytest.approx(found.steps / 100)
    assert found.overhead == pytest.approx(found.steps / 1000)
    replicates = cost.cost(history, [trial for trial in history.trials.values() if trial.kind == "replicate"])
    assert replicates.steps == 400 * 20, "two strata, two finalists, five replicates"
    assert replicates.driver == found.driver


def test_machine_hours_and_money(history: History) -> None:
    start = 1000.0
    history.manifests[:] = [
        {"time": start, "until": start + 3600, "machine": {"cpus": 4}},
        {"time": start + 7200, "until": start + 9000, "machine": {"cpus": 8, "gpus": 2}},
    ]
    found = cost.cost(history)
    assert (found.driver, found.cpu_hours, found.gpu_hours) == (5400, 8, 1)
    assert found.money(2.0) == 3.0
    rows = dict(cost.rows(history, 2.0))
    assert rows["driver's time"] == "1 h 30 min in 2 runs"
    assert rows["machine hours"] == "1.5 h of the driver's machine, 8 CPU hours, 1 GPU hours"
    assert rows["money"].startswith("3.00 at 2 per machine hour")
    assert "money" not in dict(cost.rows(history))


def test_a_manifest_that_names_no_cpus(history: History) -> None:
    assert math.isnan(cost.cost(history).cpu_hours)
    assert "CPU" not in dict(cost.rows(history))["machine hours"]


def test_the_drivers_time_ends_with_its_last_event(history: History) -> None:
    (manifest,) = history.manifests
    assert manifest["until"] == history.last_time
    assert cost.cost(history).driver == history.last_time - manifest["time"]


def test_the_guards_share(history: History) -> None:
    assert math.isnan(cost.cost(history).guards)
    assert dict(cost.rows(history))["guards alone"] == "not recorded"
    for trial in history.trials.values():
        if trial.reports:
            trial.reports[-1] = dataclasses.replace(trial.reports[-1], facts={"guards_share": 0.2})
    found = cost.cost(history)
    assert found.guards == pytest.approx(found.training / 4)
    assert found.guards_share == pytest.approx(0.2)


def test_the_price_is_read_from_the_command_line(build: Build, capsys: pytest.CaptureFixture[str]) -> None:
    folder = build().close()
    assert main(["report", str(folder), "--price", "1.25"]) == 0
    assert "0.00 at 1.25 per machine hour" in (folder / "report.html").read_text()
    capsys.readouterr()
    for word in ("-1", "nan", "much"):
        assert main(["report", str(folder), f"--price={word}"]) == 2
        assert "price: must be the price of a machine hour" in capsys.readouterr().err


def test_rungs(history: History) -> None:
    assert early_stopping.rungs(history) == [100, 200]
    history.opened = dataclasses.replace(history.settings, grace=400)
    assert early_stopping.rungs(history) == []


def test_stopped_trials_by_rung(history: History) -> None:
    rows = early_stopping.stopped(history)
    assert [row.rung for row in rows] == [100, 200, None]
    assert [row.cause for row in rows] == ["rung 100", "rung 200", early_stopping.NOT_FINITE]
    assert (rows[-1].trials, rows[-1].left) == ([5], 100), "its objective was NaN at step 300"
    trials, saved, _ = progress.saved_steps(history)
    assert sum(len(row.trials) for row in rows[:2]) == trials == len(early_stopping.at_rungs(history))
    assert sum(row.left for row in rows[:2]) == saved
    assert rows[0].judged == 11, "all but the one that failed"
    for row in rows[:2]:
        assert all(history.trials[number].step == row.rung for number in row.trials)


def test_a_budget_in_samples(history: History) -> None:
    steps = progress.saved_steps(history)
    budget, grace = history.settings.budget, history.settings.grace
    history.opened = dataclasses.replace(history.settings, unit="samples", budget=32 * budget, grace=32 * grace)
    assert progress.saved_steps(history) == (steps[0], 32 * steps[1], 32 * steps[2])
    assert early_stopping.rungs(history) == [3200, 6400]
    assert sum(row.left for row in early_stopping.stopped(history) if row.rung) == 32 * steps[1]


def test_a_value_that_is_not_finite_is_not_judged(history: History) -> None:
    first = history.trials[5].reports[0]
    history.trials[5].reports[:] = [
        dataclasses.replace(first, metrics={"validation/hinge": Measure(math.nan, 96, math.nan, math.nan)})
    ]
    rows = early_stopping.stopped(history)
    assert rows[0].judged == 10, "it reached the rung, and there was nothing to compare"
    assert rows[-1].left == 300


def test_a_target_saves_nothing_for_early_stopping(build: Build) -> None:
    made = build(target=10.0)
    pair: list[Assignment] = []
    for _ in range(2):
        assignment = made.director.next()
        assert isinstance(assignment, Assignment)
        made.director.started(assignment.trial, assignment.attempt)
        pair.append(assignment)
    for step in (100, 200, 300, 400):
        made.director.reported(0, conftest.report(pair[0], step, 1.0))
    made.director.reported(1, conftest.report(pair[1], 100, 2.0))
    sweep = Sweep.open(made.close())
    assert sweep.history.trials[1].reason == "target 10 reached by trial 0 with 1"
    assert progress.saved_steps(sweep.history) == (0, 0, 800)
    assert early_stopping.saved_seconds(sweep.history) == 0
    found = [(row.cause, row.trials, row.left) for row in early_stopping.stopped(sweep.history)]
    assert found == [("rung 100", [], 0), ("rung 200", [], 0), (early_stopping.TARGET, [1], 300)]
    page = document.page(sweep)
    assert "No trial was stopped at a rung" in page
    assert "<td>target reached</td>" in page
    assert "are no early stopping" in page


def test_saved_seconds_are_those_of_the_trials_own_speed(history: History) -> None:
    _, saved, _ = progress.saved_steps(history)
    assert early_stopping.saved_seconds(history) == pytest.approx(saved / 100)


def test_findings_are_grouped_by_guard(history: History) -> None:
    def said(number: int, *found: Finding) -> None:
        trial = history.trials[number]
        trial.reports[-1] = dataclasses.replace(trial.reports[-1], findings=found)

    said(0, Finding("plateau", True, 0.5, "no change"), Finding("spikes", False, 1, "fine"))
    said(
        1,
        Finding("plateau", True, 0.6, "no change"),
        Finding("no_op_term", True, 0, "t4", "t4"),
        Finding("no_op_term", True, 0, "t8", "t8"),
    )
    groups = guard_findings.groups(history)
    assert [(group.guard, group.trials, len(group.found)) for group in groups] == [
        ("plateau", 2, 2),
        ("no_op_term", 1, 2),
    ]
    assert "calling it a limit" in groups[0].advice
    assert "Remove it" in groups[1].advice


def test_a_word_taken_back_is_no_finding(history: History) -> None:
    first, *rest = history.trials[0].reports
    history.trials[0].reports[0] = dataclasses.replace(first, findings=(Finding("throughput", True, 0.4, "slow"),))
    assert len(guard_findings.groups(history)) == 1
    history.trials[0].reports[-1] = dataclasses.replace(
        rest[-1], findings=(Finding("throughput", False, 1.0, "as before"),)
    )
    assert guard_findings.groups(history) == []


def test_every_guard_has_its_own_advice() -> None:
    from leadline.training.guards.standard import every_guard

    names = [guard.name for guard in every_guard()]
    assert [
        name for name in [*names, "overlap_random"] if guard_findings.advice(name) == guard_findings.OTHERWISE
    ] == []
    assert guard_findings.advice("of another package") == guard_findings.OTHERWISE
