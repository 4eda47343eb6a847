from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from leadline.ledger.events import Noted
from leadline.ledger.segments import Ledger, LedgerError, read
from leadline.storage import Folder


def note(number: int) -> Noted:
    return Noted(text=str(number), time=0.0)


def _events(count: int) -> list[Noted]:
    return [note(number) for number in range(count)]


def _written(folder: Folder, groups: list[int]) -> list[Path]:
    ledger = Ledger(folder)
    number = 0
    for size in groups:
        for _ in range(size):
            ledger.append(note(number))
            number += 1
        ledger.commit()
    ledger.close()
    return sorted(Path(folder.path).glob("*.jsonl"))


def test_events_come_back_in_order(tmp_path: Path) -> None:
    folder = Folder.at(str(tmp_path / "ledger"))
    segments = _written(folder, [1, 3, 2])
    assert len(segments) == 3
    assert read(folder) == _events(6)
    assert Ledger(folder).past == _events(6)


def test_appending_goes_on_after_the_last_segment(tmp_path: Path) -> None:
    folder = Folder.at(str(tmp_path / "ledger"))
    _written(folder, [2])
    ledger = Ledger(folder)
    ledger.append(note(2))
    ledger.close()
    assert read(folder) == _events(3)


def test_what_is_not_committed_by_a_caller_is_stored_soon(tmp_path: Path) -> None:
    folder = Folder.at(str(tmp_path / "ledger"))
    ledger = Ledger(folder)
    ledger.append(note(0))
    ledger.close()
    assert read(folder) == _events(1)


@pytest.mark.parametrize("damage", ["truncate", "flip", "empty", "remove"])
def test_a_damaged_tail_costs_one_segment_aloud(tmp_path: Path, damage: str) -> None:
    folder = Folder.at(str(tmp_path / "ledger"))
    last = _written(folder, [2, 2, 2])[-1]
    _damage(last, damage)
    if damage == "remove":
        assert read(folder) == _events(4)
        return
    with pytest.warns(UserWarning, match=last.name):
        assert read(folder) == _events(4)
    with pytest.warns(UserWarning, match="set aside"):
        ledger = Ledger(folder)
    ledger.append(note(4))
    ledger.close()
    assert read(folder) == _events(5)
    assert list(Path(folder.path).glob("*.damaged-*"))


@pytest.mark.parametrize("damage", ["truncate", "flip", "empty", "remove"])
def test_damage_before_the_tail_stops_with_the_position(tmp_path: Path, damage: str) -> None:
    folder = Folder.at(str(tmp_path / "ledger"))
    _damage(_written(folder, [2, 2, 2])[1], damage)
    with pytest.raises(LedgerError, match=r"damaged in its middle.*00000002"):
        read(folder)


def _damage(path: Path, how: str) -> None:
    content = path.read_bytes()
    if how == "remove":
        path.unlink()
    elif how == "flip":
        path.write_bytes(content.replace(b'"text": "2"', b'"text": "9"').replace(b'"events"', b'"evemts"', 1))
    else:
        path.write_bytes(b"" if how == "empty" else content[:-5])


def test_a_changed_event_breaks_the_chain(tmp_path: Path) -> None:
    folder = Folder.at(str(tmp_path / "ledger"))
    first = _written(folder, [2, 2, 2])[0]
    first.write_bytes(first.read_bytes().replace(b'"text": "1"', b'"text": "7"'))
    with pytest.raises(LedgerError, match="damaged in its middle"):
        read(folder)


def test_a_change_in_the_last_but_one_does_not_cost_the_last(tmp_path: Path) -> None:
    folder = Folder.at(str(tmp_path / "ledger"))
    files = _written(folder, [2, 2, 2])
    files[1].write_bytes(files[1].read_bytes().replace(b'"text": "2"', b'"text": "7"'))
    for attempt in (lambda: read(folder), lambda: Ledger(folder)):
        with pytest.raises(LedgerError, match=r"damaged in its middle: .*00000002.* has changed since it was written"):
            attempt()
    assert sorted(path.name for path in Path(folder.path).iterdir()) == [path.name for path in files]


def test_a_second_writer_fails_and_overwrites_nothing(tmp_path: Path) -> None:
    folder = Folder.at(str(tmp_path / "ledger"))
    one, two = Ledger(folder), Ledger(folder)
    one.append(note(0))
    one.commit()
    two.append(note(99))
    with pytest.raises(LedgerError):
        two.commit()
    one.close()
    assert read(folder) == _events(1)


def test_another_schema_is_refused_by_its_number(tmp_path: Path) -> None:
    folder = Folder.at(str(tmp_path / "ledger"))
    segment = _written(folder, [1])[0]
    header, *rest = segment.read_text().splitlines()
    segment.write_text("\n".join([json.dumps({**json.loads(header), "schema": 99}), *rest, ""]))
    with pytest.raises(LedgerError, match="schema 99"):
        read(folder)


def test_nothing_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="none at"):
        read(Folder.at(str(tmp_path / "nothing")))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20, deadline=None)
@given(groups=st.lists(st.integers(1, 4), min_size=1, max_size=6))
def test_any_grouping_reads_the_same(tmp_path_factory: pytest.TempPathFactory, groups: list[int]) -> None:
    folder = Folder.at(str(tmp_path_factory.mktemp("ledger")))
    _written(folder, groups)
    assert read(folder) == _events(sum(groups))


def test_a_ledger_that_is_gone_is_not_begun_anew(tmp_path: Path) -> None:
    """As where a mount has dropped off, or somebody has moved the sweep."""
    place, away = tmp_path / "ledger", tmp_path / "away"
    ledger = Ledger(Folder.at(str(place)), patience=1.0, say=lambda text: None)
    ledger.append(note(1))
    ledger.commit()
    place.rename(away)
    ledger.append(note(2))
    with pytest.raises(LedgerError, match="the ledger is not there any more"):
        ledger.commit()
    assert not place.exists()
    assert len(read(Folder.at(str(away)))) == 1


@pytest.mark.parametrize("text", [{1}, float("nan"), object()])
def test_an_event_that_cannot_be_encoded_is_refused_at_once_and_costs_no_other(tmp_path: Path, text: Any) -> None:
    folder = Folder.at(str(tmp_path / "ledger"))
    ledger = Ledger(folder)
    ledger.append(note(0))
    with pytest.raises(ValueError, match=r"^ledger: the event 'noted' cannot be recorded: "):
        ledger.append(Noted(text=text, time=0.0))
    ledger.append(note(1))
    ledger.close()
    assert read(folder) == _events(2)
