"""The leaderboard in Ray's dashboard: the text, one without Ray, and a real submitted job."""

from __future__ import annotations

import math
import threading
from typing import Any

import pytest

from leadline.engine.ray.gauges import Gauges
from leadline.engine.ray.live_leaderboard import LiveLeaderboard
from leadline.ledger import leaderboard
from leadline.ledger.history import History
from leadline.ledger.leaderboard_text import Board, Place, gpu_memory, pace
from leadline.ledger.ranges import LEGEND, words
from tests.leadline.dashboard_job import MIDDLE, STORAGE, Played
from tests.leadline.ray_head import head, until


def played(events: int = 10**9) -> Played:
    found = Played()
    found.run(events)
    return found


def test_a_board_that_follows_is_the_board_of_the_whole_history() -> None:
    events = played().events
    history = History()
    following = Board(history, "demo", STORAGE)
    for position, event in enumerate(events):
        history.apply(event)
        following.touch(event)
        if position % 5 == 0 or event.type in ("closed", "baseline"):
            assert following.text(now=0.0) == Board(History.of(events[: position + 1]), "demo", STORAGE).text(now=0.0)
            for stratum in leaderboard.strata(history):
                assert following.ranked(stratum) == leaderboard.ranked(history, stratum)


def test_the_text_names_every_trial_with_value_interval_units_and_marks() -> None:
    history = played().director.history
    lines = Board(history, "demo").text().splitlines()
    for stratum in ("1", "2"):
        first = lines.index(f"level {stratum}: 6 trials, best first") + 3
        ranked = leaderboard.ranked(history, stratum)
        cells = [line.split(" | ") for line in lines[first : first + 6]]
        assert [row[1] for row in cells] == [str(trial.number) for trial in ranked]
        assert [row[-1] for row in cells] == [", ".join(leaderboard.marks(history, trial)) or "-" for trial in ranked]
        assert all(row[5] == "4" for row in cells)
        assert lines[first - 2].startswith("trivial | zero | - | 0.9")
    assert "2 | stopped | - | - .. - | 4 | 1 | not finite" in "\n".join(lines)
    assert sum(line.endswith("| 4 | 2 | none") for line in lines) == 2, "the confirmed, four units and two seeds each"


def test_running_trials_are_shown_where_they_run() -> None:
    found = played(MIDDLE).director
    places = {trial.number: [Place("ab12", "worker-1", 4711, ("3",))] for trial in found.running()[:1]}
    text = Board(found.history, "demo").text(places).splitlines()
    start = text.index("running now") + 2
    shown = [line.split(" | ") for line in text[start : start + 4]]
    assert [row[0] for row in shown] == [str(trial.number) for trial in found.running()]
    assert shown[0][-5:-1] == ["worker-1", "4711", "3", "ab12"]
    assert all(row[-5:-1] == ["-"] * 4 for row in shown[1:])
    assert [row[-1] for row in shown] == [words(trial) for trial in found.running()]


def test_the_text_says_what_was_searched_of_the_best_and_of_finalists_that_are_confirmed() -> None:
    source = played()
    source.director.history.closed = ""
    history = source.director.history
    run = next(trial for trial in history.trials.values() if trial.kind == "replicate")
    run.status = "running"  # as it was
    assert run.of is not None
    finalist = history.trials[run.of]
    lines = Board(history, "demo").text().splitlines()
    best = next(line for line in lines if line.startswith(f"best: level {finalist.stratum}"))
    assert f"; searched: {words(finalist)}; marks: " in best
    row = lines[lines.index("running now") + 2].split(" | ")
    assert (row[0], row[-1]) == (f"{run.number} (of {run.of})", words(finalist))
    assert (LEGEND in lines) == any("*" in line for line in lines if line != LEGEND)


def test_the_summary_is_one_line_for_each_stratum_with_what_must_be_known() -> None:
    found = played(MIDDLE).director
    board = Board(found.history, "demo")
    first = leaderboard.ranked(found.history, "1")[0]
    value = first.value("validation/error")
    interval = f"interval {value - 0.1:.4g} .. {value + 0.1:.4g}"
    assert board.summary()[0].startswith(
        f"level 1: trial {first.number}, error {value:.4g} ({interval}, n 4, running at {first.step} of 9)"
    )
    assert board.summary()[0].endswith("marks: behind 1 of 1 trivial (zero), plateau: body")
    ended = board.states()
    assert board.progress() == f"{sum(ended.values())} of 12 trials (4 running, {ended['stopped']} stopped)"
    assert Board(played(3).director.history, "demo").summary() == ["level 1: no value yet", "level 2: no value yet"]


def test_pace_and_memory_are_those_of_the_last_report() -> None:
    trial = played(MIDDLE).director.running()[0]
    assert pace(trial) == (4.0, 0.5)
    assert gpu_memory(trial) == 1e9 + trial.number
    trial.reports.clear()
    assert all(map(math.isnan, (*pace(trial), gpu_memory(trial))))


def test_a_copied_history_goes_its_own_way() -> None:
    source = played(MIDDLE)
    twin, before = source.director.history.copy(), Board(source.director.history, "demo").text(now=0.0)
    events = len(source.events)
    source.run()
    assert Board(twin, "demo").text(now=0.0) == before
    for event in source.events[events:]:
        twin.apply(event)
    assert Board(twin, "demo").text(now=0.0) == Board(source.director.history, "demo").text(now=0.0)


def test_what_is_not_finite_is_no_metric(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[str, float, dict[str, str]]] = []

    class Kept:
        def __init__(self, name: str, description: str, tag_keys: tuple[str, ...]) -> None:
            self.name, self.keys = name, tag_keys

        def set(self, value: float, tags: dict[str, str]) -> None:
            assert set(tags) == set(self.keys)
            told.append((self.name, value, tags))

    monkeypatch.setattr("leadline.engine.ray.gauges.Gauge", Kept)
    found = played(8).director  # the trial that diverges has reported
    assert math.isnan(found.history.trials[2].value("validation/error"))
    found.history.trials[2].status = "running"  # as it is for a moment
    Gauges("demo").set(Board(found.history, "demo"), {"1": {1: 2, 3: 0}})
    assert all(math.isfinite(value) for _, value, _ in told)
    assert ("leadline_rung_trials", 2.0, {"sweep": "demo", "stratum": "1", "rung": "1"}) in told
    of_trials = {tags["trial"] for _, _, tags in told if "trial" in tags}
    assert of_trials == {str(trial.number) for trial in found.running()}
    assert "2" not in {tags["trial"] for name, _, tags in told if name == "leadline_trial_value"}


def test_without_ray_it_says_once_what_it_cannot_show_and_the_sweep_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ray._private.worker._global_node", None)
    monkeypatch.setattr("leadline.engine.ray.live_leaderboard.SECONDS", 0.01)
    source, said = Played(), list[str]()
    asked = threading.Event()

    def places() -> dict[int, list[Place]]:
        asked.set()
        raise ArithmeticError("nobody knows")

    shown = LiveLeaderboard(source.director, "demo", STORAGE, said.append, places, job="raysubmit_none")
    source.run()
    shown.tick()
    assert asked.wait(60)
    shown.close()
    assert source.director.history.closed == "done"
    assert len(said) == len({line.split(" cannot")[0] for line in said}), "each once"
    assert any("among Ray's logs cannot be shown" in line for line in said)
    assert any("nobody knows" in line for line in said)
    assert shown.links() == []


@pytest.mark.sweep
def test_a_submitted_job_shows_its_best_trial_on_its_page_and_its_leaderboard_among_the_logs() -> None:
    with head() as ray:
        job = ray.play("demo")
        expected = Board(played(MIDDLE).director.history, "demo", STORAGE)
        found: dict[str, Any] = until(lambda: (told := ray.job(job))["message"].startswith("level 1: trial") and told)
        assert found["message"].splitlines()[:2] == expected.summary()
        told = {
            "sweep": "demo",
            "storage": STORAGE,
            "progress": expected.progress(),
            "best": "; ".join(expected.summary()),
        }
        assert found["metadata"].items() >= told.items()
        printed = ray.get(f"/api/jobs/{job}/logs")["logs"]
        assert f"{ray.url}/#/jobs/{job}" in printed
        page = next(line for line in printed.splitlines() if "leaderboard-demo.log" in line).partition("viewer?")[2]
        query = page.replace("nodeId", "node_id").replace("fileName", "filename")
        text = ray.get(f"/api/v0/logs/file?{query}&lines=50000")
        assert _undated(expected.text()) == _undated(text, places=True)
        ray.go_on("demo")
        until(lambda: ray.job(job)["status"] == "SUCCEEDED")
        whole = Board(played().director.history, "demo", STORAGE)
        assert ray.job(job)["metadata"]["best"] == "; ".join(whole.summary())
        assert _undated(whole.text()) == _undated(ray.get(f"/api/v0/logs/file?{query}&lines=50000"))


def _undated(text: str, places: bool = False) -> list[str]:
    """Without clocks, and without where trials run, which must be known."""
    shown = [line.split(" | ") for line in text.splitlines() if not line.startswith("written")]
    if places:
        assert sum(row[-5] == "the-head" and row[-3] == "0" for row in shown if len(row) == 11) == 4
    return [" | ".join([*row[:6], row[-1]] if len(row) == 11 else row) for row in shown]
