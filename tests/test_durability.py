"""The durability benchmark at a tiny size: it measures what it says, whatever the figures are."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import durability
from leadline.engine.director import Director
from leadline.ledger.events import Reported
from leadline.ledger.reader import read
from leadline.ledger.segments import Ledger
from leadline.storage import Folder
from sweeps.lookahead import STUDY
from tests.conftest import Clock


def test_throughput_counts_events_that_are_stored(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each commit takes half a second here, and nothing else takes any."""
    durability.recorded_report()
    clock, commit = Clock(monkeypatch), Ledger.commit
    monkeypatch.setattr(Ledger, "commit", lambda self: clock.passes(0.5, commit(self)))
    (result,) = durability.throughput(str(tmp_path), batches=3, singles=2)
    assert result.ratio == 3 * durability.BATCH / 1.5
    (place,) = tmp_path.iterdir()
    events = read(Folder.at(str(place)))
    assert len(events) == 3 * durability.BATCH + 2
    first = events[0]
    assert isinstance(first, Reported)
    assert len(first.report.metrics) > 10
    out = capsys.readouterr().out
    assert f"{durability.BATCH} at a time" in out
    assert out.splitlines()[1].split()[-4:] == ["500.00", "500.00", "500.00", "ms"]


def test_the_replayed_sweep_is_whole(capsys: pytest.CaptureFixture[str]) -> None:
    durability.replay(trials=8, reports=4)
    assert (
        "49 events of 8 trials" in capsys.readouterr().out
    )  # it was opened; per trial a proposal, a start and four reports
    settings = durability._settings(8, 4)
    director = Director(settings, STUDY.space)
    director.replay(durability._sweep(settings, durability.recorded_report(), STUDY.space))
    assert [trial.status for trial in director.history.trials.values()] == ["finished"] * 8
    assert {
        rung: sum(rungs.population()[rung] for rungs in director.asha.values()) for rung in settings.rungs
    } == dict.fromkeys(settings.rungs, 8)
