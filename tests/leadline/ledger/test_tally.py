"""A tally says at every event what a look through the whole history would."""

from __future__ import annotations

import dataclasses
from collections import Counter

import pytest

from leadline.engine.director import Director
from leadline.ledger import leaderboard
from leadline.ledger.events import Event
from leadline.ledger.history import History
from leadline.ledger.tally import Tally
from tests.leadline.engine.test_director import BASE, Simulation
from tests.leadline.toy_study import STUDY


def _agrees(tally: Tally, history: History) -> None:
    trials = list(history.trials.values())
    search = [trial for trial in trials if trial.kind == "search"]
    assert +tally.states == Counter((trial.kind, trial.status) for trial in trials)
    assert +tally.searched == Counter(trial.stratum for trial in search)
    for status in ("waiting", "running"):
        assert tally.of(status) == [trial for trial in trials if trial.status == status]
    assert tally.open == sum(trial.open for trial in trials)
    last = [trial.reports[-1] for trial in trials if trial.reports]
    assert tally.seconds == pytest.approx(sum(report.seconds for report in last))
    assert tally.spent == sum(history.spent(report) for report in last)
    for kind in ("search", "replicate"):
        assert tally.begun(kind) == sum(trial.kind == kind for trial in trials)
        assert tally.ended(kind) == sum(trial.kind == kind and not trial.open for trial in trials)
    for trial in search:
        assert tally.runs(trial.number) == history.replicates(trial.number)
    assert tally.confirming() == leaderboard.confirming(history)
    for stratum in leaderboard.strata(history):
        assert tally.finished(stratum) == sum(one.stratum == stratum and one.status == "finished" for one in search)
        assert tally.field(stratum) == leaderboard.field(history, stratum)
        assert tally.best(stratum) is next(iter(leaderboard.ranked(history, stratum)), None)


class _Watched(Director):
    """A director whose tally is looked at after each event."""

    def _fold(self, event: Event, live: bool = False) -> None:
        super()._fold(event, live)
        _agrees(self.tally, self.history)


@pytest.mark.parametrize("mode", ["min", "max"])
def test_it_agrees_with_the_history_after_each_event(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = dataclasses.replace(BASE, mode=mode, confirm=2, trials=16)  # type: ignore[arg-type]
    past = Simulation(chosen).run().events
    longer = dataclasses.replace(chosen, budget=3 * chosen.budget, trials=20)
    events = Simulation(longer, past=past).run().events
    assert len(events) > 300
    watched = _Watched(longer, STUDY.space)
    watched.replay(events)
    _agrees(watched.tally, watched.history)
    cut = _Watched(chosen, STUDY.space)
    cut.replay(past[: len(past) // 2])
    assert cut.tally.of("waiting"), "trials that ran when the driver was lost wait"
    _agrees(cut.tally, cut.history)
