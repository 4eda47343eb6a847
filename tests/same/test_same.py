from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from leadline.ledger.events import parse
from leadline.ledger.segments import Ledger, read
from leadline.measure import Measure, Report
from leadline.storage import Folder
from leadline.testing import curve
from tests.leadline.engine.test_director import BASE
from tests.same.__main__ import judge, main, wanted
from tests.same.compare import ABSENT, Difference, compare
from tests.same.events import Event, comparable, disturbances, measured_micro_batches
from tests.same.trees import BadInput, Pair, Run

FINDING = {"guard": "plateau", "failed": True, "number": 0.25, "sentence": "flat over 0.125 of 3 rungs", "subject": ""}
MACHINE = {
    "guard": "memory",
    "failed": False,
    "number": 1e9,
    "sentence": "a full step peaks at 1 GB",
    "subject": "step",
}


def opened(time: float = 0.0, **settings: Any) -> Event:
    return {
        "type": "opened",
        "settings": {**BASE.to_dict(), "steps": 20, "family": "line", **settings},
        "manifest": {"pid": time},
        "time": time,
    }


def closed(how: str = "done") -> Event:
    return {"type": "closed", "how": how, "time": 9.0}


def reported(trial: int, step: int, value: float = 0.5, action: str = "continue") -> Event:
    report = Report(
        step,
        8 * step,
        1.5,
        0.5,
        {"validation/error": Measure(value, 64, 0.25, 0.75)},
        {"loss": 0.125, "guards_share": 0.01},
    )
    plain = {**report.to_dict(), "findings": [dict(FINDING), dict(MACHINE)]}
    return {"type": "reported", "trial": trial, "report": plain, "action": action, "reason": "", "time": 3.0}


def retired(trial: int, *checkpoints: str) -> Event:
    return {"type": "retired", "trial": trial, "checkpoints": list(checkpoints), "time": 4.0}


def proposed(trial: int, **config: Any) -> Event:
    drawn = json.dumps({"name": "FloatDistribution", "attributes": {"low": 1e-4, "high": 1e-1, "log": True}})
    about = {
        "trial": trial,
        "stratum": "all",
        "kind": "search",
        "of": None,
        "params": {"lr": 1e-3},
        "distributions": {"lr": drawn},
    }
    return {"type": "proposed", **about, "config": {"lr": 1e-3, "batch": 8, **config}, "infeasible": "", "time": 1.0}


def started(trial: int, attempt: int = 1) -> Event:
    return {"type": "started", "trial": trial, "attempt": attempt, "workers": 1, "time": 2.0}


def failed(trial: int, error: str, cause: str = "error") -> Event:
    return {"type": "failed", "trial": trial, "attempt": 1, "cause": cause, "error": error, "final": False, "time": 3.0}


@pytest.fixture
def ledger() -> list[Event]:
    """A sweep of two trials."""
    first = [proposed(0), started(0), reported(0, 10), reported(0, 20, action="finish")]
    second = [proposed(1), started(1), retired(0, "a", "b"), reported(1, 10), reported(1, 20, action="finish")]
    return [opened(), *first, *second, closed()]


def recorded(folder: Path) -> list[Event]:
    return [event.to_dict() for event in read(Folder.at(str(folder)))]


def differences(base: list[Event], here: list[Event], rtol: float = 0.0) -> list[Difference]:
    return compare(comparable(base), comparable(here), rtol)


def test_clocks_processes_and_machines_are_left_out(ledger: list[Event]) -> None:
    other = copy.deepcopy(ledger)
    other[0] = opened(time=77.0)
    for event in other:
        event["time"] += 100.0
        if "report" in event:
            event["report"] |= {"seconds": 9.0, "overhead": 8.0}
            event["report"]["facts"] |= {"guards_share": 0.9, "scoring_share": 0.2}
            event["report"]["findings"] = [FINDING, {**MACHINE, "number": 2e9}]
    assert other != ledger
    assert differences(ledger, other) == []


def test_as_much_of_a_report_is_compared_as_the_contract_of_families_compares(ledger: list[Event]) -> None:
    plain = ledger[3]["report"]
    found = dict(comparable(ledger).ordered[3].fields["report"])
    assert found.pop("checkpoint", None) == plain.get("checkpoint")
    assert found == curve([Report.from_dict(plain)])[0]


def in_metric(event: Event) -> None:
    event["report"]["metrics"]["validation/error"]["value"] = 0.75


def in_sentence(event: Event) -> None:
    event["report"]["findings"][0]["sentence"] = "steep"


@pytest.mark.parametrize(
    ("at", "change", "field", "was", "now"),
    [
        (4, in_metric, "report.metrics.validation/error.value", 0.5, 0.75),
        (4, in_sentence, "report.findings.0.sentence", FINDING["sentence"], "steep"),
        (4, lambda event: event["report"]["facts"].update(loss=0.25), "report.facts.loss", 0.125, 0.25),
        (4, lambda event: event["report"].pop("samples"), "report.samples", 160, ABSENT),
        (4, lambda event: event.update(action="stop"), "action", "finish", "stop"),
        (0, lambda event: event["settings"].update(reduction=7), "settings.reduction", BASE.reduction, 7),
        (1, lambda event: event["config"].update(lr=2e-3), "config.lr", 1e-3, 2e-3),
        (1, lambda event: event.update(stratum="10"), "stratum", "all", "10"),
        (1, lambda event: event.update(infeasible=False), "infeasible", "", False),
    ],
)
def test_a_changed_field_is_named_with_its_event_and_both_values(
    ledger: list[Event], at: int, change: Callable[[Event], object], field: str, was: Any, now: Any
) -> None:
    other = copy.deepcopy(ledger)
    change(other[at])
    found = differences(ledger, other)
    assert [(one.field, one.base, one.here) for one in found] == [(field, was, now)]
    assert found[0].event.startswith(f"event {at + 1} [{ledger[at]['type']}")
    assert field in str(found[0])


def test_a_changed_bound_of_the_search_space_is_named(ledger: list[Event]) -> None:
    other = copy.deepcopy(ledger)
    other[1]["distributions"]["lr"] = other[1]["distributions"]["lr"].replace("0.1", "0.2")
    assert [one.field for one in differences(ledger, other)] == ["distributions.lr.attributes.high"]


def test_a_decision_that_ends_a_trial_earlier_shows_what_is_missing(ledger: list[Event]) -> None:
    other = copy.deepcopy(ledger)
    other[3]["action"] = "stop"
    del other[4]
    first, second = differences(ledger, other)
    assert (first.field, first.base, first.here) == ("action", "continue", "stop")
    assert str(second) == "event 5 [reported, trial 0, step 20]: only in the base"


def test_order_counts_but_for_what_other_threads_record(ledger: list[Event]) -> None:
    later = [event for event in ledger if event["type"] != "retired"]
    later.insert(-1, retired(0, "b", "a"))
    assert later != ledger
    assert differences(ledger, later) == []
    swapped = copy.deepcopy(ledger)
    swapped[1], swapped[2] = swapped[2], swapped[1]
    assert len(differences(ledger, swapped)) == 2


def test_what_other_threads_record_must_be_the_same(ledger: list[Event]) -> None:
    other = copy.deepcopy(ledger)
    other[7]["checkpoints"] = ["a", "c"]
    assert [(one.field, one.base, one.here) for one in differences(ledger, other)] == [("checkpoints.1", "b", "c")]
    without = [event for event in ledger if event["type"] != "retired"]
    assert [one.here for one in differences(ledger, without)] == [ABSENT]


def test_rtol_lets_floats_differ_and_nothing_else(ledger: list[Event]) -> None:
    other = copy.deepcopy(ledger)
    other[4]["report"]["facts"]["loss"] *= 1 + 1e-6
    assert len(differences(ledger, other)) == 1
    assert len(differences(ledger, other, 1e-7)) == 1
    assert differences(ledger, other, 1e-5) == []
    other[4]["report"]["samples"] += 1
    other[4]["trial"] = 0
    assert [one.field for one in differences(ledger, other, 0.5)] == ["report.samples"]


@pytest.mark.parametrize(
    ("text", "agrees"),
    [
        ("flat over 0.126 of 3 rungs", True),
        ("flat over 0.127 of 3 rungs", False),
        ("flat over 0.125 of 4 rungs", False),
        ("steep over 0.125 of 3 rungs", False),
    ],
)
def test_with_rtol_a_sentence_may_differ_by_a_rounding(ledger: list[Event], text: str, agrees: bool) -> None:
    other = copy.deepcopy(ledger)
    other[4]["report"]["findings"][0]["sentence"] = text
    assert len(differences(ledger, other)) == 1
    assert (differences(ledger, other, 1e-6) == []) == agrees


def test_an_older_schema_is_equal_through_its_migration(golden: Path, tmp_path: Path) -> None:
    """One sweep, recorded in schema 1, where a failure has no cause, and written again in today's."""
    old = golden / "ledger-schema-1" / "ledger"
    shutil.copytree(old, tmp_path / "old")
    events = [*recorded(tmp_path / "old"), failed(0, "ValueError: no")]
    raw = [json.loads(line) for path in sorted(old.glob("*.jsonl")) for line in path.read_text().splitlines()[1:]]
    ledger = Ledger(Folder.at(str(tmp_path / "new")))
    for event in events:
        ledger.append(parse(event))
    ledger.close()
    assert differences(events, recorded(tmp_path / "new")) == []
    fields = {one.field for one in differences(raw, events[:-1])}
    assert "cause" in fields, "the migration says it"
    assert all(field == "cause" or field.startswith("settings.") for field in fields), "and newer settings' defaults"


def test_of_a_failure_its_traceback_may_move(ledger: list[Event]) -> None:
    base, here, other = (
        [*ledger, failed(1, f"infeasible: no\nTraceback:\n  File {file}\n{error}")]
        for file, error in (("/base/a.py, line 1", "E: no"), ("/here/b.py, line 2", "E: no"), ("/here/b.py", "E: yes"))
    )
    assert differences(base, here) == []
    assert [one.field for one in differences(base, other)] == ["error"]


def test_the_folders_of_both_runs_are_equal_words() -> None:
    base, here = ([{"type": "noted", "text": f"{place}/trials/0001 is damaged"}] for place in ("/one", "/two"))
    assert compare(comparable(base, {"/one": "<sweep>"}), comparable(here, {"/two": "<sweep>"})) == []
    assert len(compare(comparable(base), comparable(here))) == 1


def test_a_driver_that_did_nothing_is_passed_over_and_one_that_died_at_work_is_not(ledger: list[Event]) -> None:
    idle = [opened(), closed("failed"), opened(), closed("failed"), *ledger]
    assert differences(ledger, idle) == []
    assert disturbances(idle) == []
    assert disturbances(idle[:4]) == ["no driver could begin"]
    died = [*ledger[:4], closed("failed"), opened(), *ledger[4:]]
    assert disturbances(died) == ["2 drivers"]
    assert len(differences(ledger, died)) == 2
    assert disturbances([*ledger, failed(1, "lost: gone", "lost")]) == ["attempt 1 of trial 1: lost"]
    assert disturbances([*ledger, failed(1, "ValueError: no")]) == []


def test_a_measured_micro_batch_is_found(ledger: list[Event]) -> None:
    assert measured_micro_batches([*ledger, proposed(2, micro_batch="auto"), proposed(3, micro_batch="1/2")]) == [2]


def stored(folder: Path, events: list[Event], code: int = 0) -> tuple[Run, Path]:
    (folder / "same").mkdir(parents=True)
    (folder / "output.txt").write_text("first\nerror: last words\n\n")
    if events:
        ledger = Ledger(Folder.at(str(folder / "same")) / "ledger")
        for event in events:
            ledger.append(parse(event))
        ledger.close()
    return Run(folder / "same", code, folder / "output.txt", 1.0), folder


def test_a_run_that_left_no_ledger_is_a_difference(ledger: list[Event], tmp_path: Path) -> None:
    pair = Pair("lookahead", "trm")
    base, here, none = (
        stored(tmp_path / "base", ledger),
        stored(tmp_path / "here", ledger),
        stored(tmp_path / "none", [], code=2),
    )
    assert judge(pair, base, here, 0.0, []).differences == []
    assert judge(pair, none, none, 0.0, []).differences == [
        "base left no ledger (exit code 2): error: last words",
        "this tree left no ledger (exit code 2): error: last words",
    ]
    assert "exit code: base 0, here 2" in judge(pair, base, none, 0.0, []).differences


def test_only_names_studies_and_families_that_are_there() -> None:
    pairs = [Pair("lookahead", "hrm"), Pair("lookahead", "trm"), Pair("batch_size", "trm")]
    assert wanted(pairs, []) == pairs
    assert wanted(pairs, [("lookahead", "")]) == pairs[:2]
    assert wanted(pairs, [("batch_size", "trm"), ("lookahead", "hrm")]) == [pairs[0], pairs[2]]
    with pytest.raises(BadInput, match=r"^only: no batch_size:hrm; there are lookahead:hrm, "):
        wanted(pairs, [("batch_size", "hrm")])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "base: say which commit"),
        (["--base", ""], "base: say which commit"),
        (["--base", "no-such-commit"], "base: git knows no commit 'no-such-commit'"),
        (["--base", "HEAD", "--rtol", "2"], "rtol: must be a number from 0 to below 1 (got '2')"),
        (["--base", "HEAD", "--rtol", "little"], "rtol: must be a number from 0 to below 1 (got 'little')"),
        (["--base", "HEAD", "--base-python", "no-such-program"], "base-python: no program no-such-program"),
    ],
)
def test_bad_input_is_one_line(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith(f"error: {said}")
    assert printed.err.count("\n") == 1
