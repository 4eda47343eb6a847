"""The events of a ledger: what is stored of each, to the byte, and that all of them are written down."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import itertools
import json
import math
import re
from pathlib import Path
from typing import Any

import pytest

from leadline.ledger import events
from leadline.ledger.events import EVENTS, Event, parse
from leadline.ledger.format import lines
from leadline.ledger.history import History
from leadline.ledger.reader import read, scan
from leadline.ledger.segments import Ledger
from leadline.storage import Folder
from tests.conftest import ROOT
from tests.leadline.engine.test_director import BASE, Simulation
from tests.leadline.ledger.test_settings import RECORDED

REPORT = (
    '{"step": 4, "samples": 16, "seconds": 1.5, "overhead": 0.5, "metrics": '
    '{"validation/error": {"value": 0.5, "low": 0.25, "high": null, "n": 4}, '
    '"test/error": {"value": 0.5, "low": 0.25, "high": 0.75, "n": 2, "units": [0.25, 0.75]}}, '
    '"facts": {"loss": null, "rate": 2.0}, "checkpoint": "attempt-01/step-000000004", '
    '"findings": [{"guard": "plateau", "failed": true, "number": null, "sentence": "It stands.", "subject": "body"}]}'
)
STORED = [
    f'{{"type": "opened", "settings": {RECORDED}, "manifest": {{"pid": 7}}, "time": 1.0}}',
    '{"type": "baseline", "stratum": "1", "name": "mean", "metrics": '
    '{"test/error": {"value": 0.5, "low": null, "high": 0.75, "n": 2, "units": [0.25, 0.75]}}, "time": 1.0}',
    '{"type": "finding", "guard": "overlap", "stratum": "1", "failed": false, "number": 0, "sentence": "none", "time": 1.0}',  # noqa: E501
    '{"type": "noted", "text": "a warning", "trial": 3, "count": 4000, "time": 1.0}',
    '{"type": "noted", "text": "a remark", "time": 1.0}',
    '{"type": "proposed", "trial": 0, "stratum": "1", "kind": "search", "of": null, "params": {}, "config": {}, '
    '"distributions": {}, "infeasible": "", "judged_from": 0.75, "time": 1.0}',
    '{"type": "proposed", "trial": 0, "stratum": "1", "kind": "search", "of": null, "params": {"lr": 0.1}, '
    '"config": {"lr": 0.1, "layers": [8, 8]}, "distributions": {"lr": "{}"}, "infeasible": "", "time": 1.0}',
    '{"type": "started", "trial": 0, "attempt": 1, "workers": 2, "time": 1.0}',
    f'{{"type": "reported", "trial": 0, "report": {REPORT}, "action": "continue", "reason": "", "time": 1.0}}',
    '{"type": "judged", "trial": 0, "action": "stop", "reason": "rung 9", "time": 1.0}',
    '{"type": "failed", "trial": 0, "attempt": 1, "cause": "memory", "error": "boom", "final": false, '
    '"micro_batch": "1/2", "excused": true, "time": 1.0}',
    '{"type": "failed", "trial": 0, "attempt": 1, "cause": "error", "error": "boom", "final": true, "time": 1.0}',
    '{"type": "retired", "trial": 0, "checkpoints": ["attempt-01/step-000000004"], "time": 1.0}',
    '{"type": "closed", "how": "done", "time": 1.0}',
]
OLDER: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"type": "started", "trial": 0, "attempt": 1, "time": 1.0}, {"workers": None}),
    (
        {
            "type": "proposed",
            "trial": 0,
            "stratum": "1",
            "kind": "search",
            "of": None,
            "params": {},
            "config": {},
            "time": 1.0,
        },
        {"distributions": {}, "infeasible": "", "judged_from": 0.0},
    ),
    (
        {"type": "failed", "trial": 0, "attempt": 1, "error": "boom", "final": True, "time": 1.0},
        {"cause": "error", "micro_batch": None, "excused": False},
    ),
]


def named(kind: type[Event]) -> list[str]:
    return [one.name for one in dataclasses.fields(kind)]


@pytest.mark.parametrize("stored", STORED)
def test_what_is_read_is_stored_again_to_the_byte(stored: str) -> None:
    assert lines([parse(json.loads(stored)).to_dict()]).decode() == stored + "\n"


def test_every_class_is_among_them() -> None:
    assert {json.loads(stored)["type"] for stored in STORED} == {kind.type for kind in EVENTS}
    assert len({kind.type for kind in EVENTS}) == len(EVENTS)


def test_what_a_sweep_records_is_what_is_read() -> None:
    made = Simulation(BASE).run().events
    stored = lines(event.to_dict() for event in made)
    read_again = [parse(json.loads(line)) for line in stored.splitlines()]
    assert lines(event.to_dict() for event in read_again) == stored
    assert History.of(read_again) == History.of(made)


@pytest.mark.parametrize(("stored", "defaults"), OLDER, ids=lambda value: value.get("type", ""))
def test_fields_that_older_ledgers_lack_have_a_default(stored: dict[str, Any], defaults: dict[str, Any]) -> None:
    event = parse(stored)
    assert {name: getattr(event, name) for name in defaults} == defaults


def test_a_newer_key_is_passed_over_and_outlives_a_compaction(tmp_path: Path) -> None:
    folder = Folder.at(str(tmp_path / "ledger"))
    ledger = Ledger(folder)
    newer = {"type": "noted", "text": "one", "colour": "red", "time": 1.0}
    for _ in range(2):
        ledger._pending.append(lines([newer]))
        ledger._appended += 1
        ledger.append(events.Noted(text="two", time=2.0))
        ledger.commit()
    ledger.close()
    Ledger(folder, compact=2).close()
    assert list(folder.sizes()) == ["00000001-00000002.jsonl"]
    assert read(folder) == [events.Noted(text="one", time=1.0), events.Noted(text="two", time=2.0)] * 2
    assert scan(folder).segments[0].records[0] == newer


def test_an_unknown_event_or_one_that_lacks_a_field_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^ledger: unknown event 'dreamt'$"):
        parse({"type": "dreamt", "time": 1.0})
    with pytest.raises(KeyError, match="text"):
        parse({"type": "noted", "time": 1.0})


def test_the_page_names_every_event_and_key_in_order() -> None:
    rows = re.findall(r"^\| `(\w+)` \| .*? \| (.*`time`) \|$", (ROOT / "docs" / "ledger.md").read_text(), re.MULTILINE)
    page = {kind: re.findall(r"`(\w+)`", keys) for kind, keys in rows}
    stored = {json.loads(line)["type"]: list(json.loads(line))[1:] for line in reversed(STORED)}
    assert page == stored
    assert {kind: sorted(keys) for kind, keys in page.items()} == {kind.type: sorted(named(kind)) for kind in EVENTS}


def test_every_event_and_field_is_documented() -> None:
    tree = ast.parse(inspect.getsource(events))
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    assert set(classes) == {kind.__name__ for kind in EVENTS}
    for kind in EVENTS:
        body = classes[kind.__name__].body
        assert "ritten by " in (ast.get_docstring(classes[kind.__name__]) or ""), f"{kind.__name__}: who writes it"
        documented = [
            before.target.id
            for before, after in itertools.pairwise(body)
            if isinstance(before, ast.AnnAssign) and isinstance(before.target, ast.Name)
            if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
        ]
        assert documented == named(kind)


def test_an_audit_without_a_number_is_stored_as_null() -> None:
    event = events.Audited(guard="overlap", stratum="1", failed=False, number=math.nan, sentence="none", time=1.0)
    stored = json.loads(lines([event.to_dict()]))
    assert stored["number"] is None
    back = parse(stored)
    assert isinstance(back, events.Audited)
    assert math.isnan(back.number)
