"""An attempt's heartbeat: it goes on while the attempt lives, ends with it, and never costs it anything."""

from __future__ import annotations

import dataclasses
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from leadline import heartbeat
from leadline.analysis.upkeep.doctor import diagnose
from leadline.checkpoint import CheckpointStore
from leadline.heartbeat import Beat, Heartbeat, Pace, read
from leadline.ledger.layout import trial_folder
from leadline.measure import Measure
from leadline.storage import Folder
from leadline.task import Split
from leadline.training.loop import Loop
from tests.conftest import command
from tests.leadline.engine.test_director import BASE
from tests.leadline.in_process_sweep import play
from tests.leadline.toy import TOY, Toy, ToyTask

OFTEN = 0.2
"""An interval that makes a test short."""


def wait_for(holds: Callable[[], Any]) -> None:
    """On a busy machine, too."""
    until = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.02)


class Slow(Toy):
    """The toy, whose evaluation does something else first."""

    def __init__(self, first: Callable[[], None]) -> None:
        self.first = first

    def task(self, config: Any, data: Any, device: torch.device) -> ToyTask:
        task = super().task(config, data, device)
        scores = task.evaluate

        def evaluate(split: Split) -> dict[str, Measure]:
            self.first()
            return scores(split)

        task.evaluate = evaluate  # type: ignore[method-assign]
        return task


def train(folder: Folder, family: Toy = TOY, interval: float | None = OFTEN, **fields: Any) -> Loop:
    """Trains the toy to its end, with a heartbeat."""
    config = family.config({"steps": 4, "eval_every": 2, **fields})
    loop = Loop(family, config, None, store=CheckpointStore(folder, patience=5))
    with Heartbeat(folder, 1, "sweep/trials/0003/attempt-01", interval) as beating:
        beating.watch(loop)
        list(loop.run())
    return loop


def found(folder: Folder) -> Beat | None:
    return read(folder, 1, patience=5)


def test_the_pace_is_that_of_the_last_minute_and_what_is_left_that_of_the_attempt() -> None:
    pace = Pace()
    assert (pace.rate, pace.left(10)) == (None, None)
    pace.look(100, 50)
    assert (pace.rate, pace.left(10)) == (None, None), "one look tells no pace"
    for second in range(101, 131):
        pace.look(second, 50 + 2 * (second - 100))
    assert (pace.rate, pace.left(100)) == (2, 50)
    for second in range(131, 231):
        pace.look(second, 110)
    assert pace.rate == 0, "no step for a minute, such as in an evaluation"
    assert pace.left(60) == 60 * 130 / 60
    pace.look(231, 100)
    assert pace.rate == 0, "steps that were tried and taken back are none"


def test_a_finished_attempt_says_so_with_its_best_value(tmp_path: Path) -> None:
    loop = train(folder := Folder.at(str(tmp_path)))
    beat = found(folder)
    assert beat is not None
    assert (beat.run, beat.state, beat.step, beat.steps) == ("sweep/trials/0003/attempt-01", "ended", 4, 4)
    best = min(loop.history, key=lambda report: report.value("validation/error"))
    assert beat.best == {"metric": "validation/error", "value": best.value("validation/error"), "step": best.step}
    assert (beat.seconds_left, beat.interval) == (None, OFTEN)
    assert not beat.stale(beat.written + 1e6), "what has ended may be silent"
    assert abs(time.time() - beat.written) < 3600
    plain = json.loads((tmp_path / "attempt-01" / "heartbeat.json").read_text())
    assert plain["time"].endswith("Z")
    assert [thread for thread in threading.enumerate() if thread.name == "heartbeat"] == []


def test_a_long_evaluation_keeps_beating(tmp_path: Path) -> None:
    file = tmp_path / "attempt-01" / "heartbeat.json"
    seen = set[tuple[str, int]]()

    def until_it_has_beaten() -> None:
        before = len(seen)

        def look() -> bool:
            if file.exists():
                seen.add((json.loads(file.read_text())["state"], file.stat().st_mtime_ns))
            return sum(state == "evaluating" for state, _ in seen) >= before + 3

        wait_for(look)

    train(Folder.at(str(tmp_path)), Slow(until_it_has_beaten), steps=2)
    assert sum(state == "evaluating" for state, _ in seen) >= 3


def test_what_is_done_is_told_in_its_order(tmp_path: Path) -> None:
    states: list[str] = []

    class Told(Loop):
        def __setattr__(self, name: str, value: Any) -> None:
            if name == "doing":
                states.append(value)
            super().__setattr__(name, value)

    config = TOY.config({"steps": 4, "eval_every": 2})
    for _ in Told(TOY, config, None, store=CheckpointStore(Folder.at(str(tmp_path)))).run():
        assert states[-1] == "waiting"
    round_ = ["training", "evaluating", "saving", "waiting"]
    assert states == ["starting", "waiting", *round_, *round_]


KILLED = """
import os, signal, sys
from pathlib import Path
from tests.leadline.test_heartbeat import Slow, train, wait_for
from leadline.storage import Folder

def dies():
    file = Path(sys.argv[1]) / "attempt-01" / "heartbeat.json"
    wait_for(lambda: file.exists() and b'"evaluating"' in file.read_bytes())
    os.kill(os.getpid(), signal.SIGKILL)

train(Folder.at(sys.argv[1]), Slow(dies))
"""


def test_a_process_that_is_killed_leaves_its_last_heartbeat(tmp_path: Path) -> None:
    assert command("-c", KILLED, str(tmp_path)).returncode == -9
    beat = found(Folder.at(str(tmp_path)))
    assert beat is not None
    assert (beat.state, beat.step, beat.best) == ("evaluating", 2, None)
    assert not beat.stale(beat.written + 2 * beat.interval)
    assert beat.stale(beat.written + 4 * beat.interval)


@pytest.mark.parametrize("error", [OSError("refused"), RuntimeError("whatever"), FileNotFoundError("gone")])
def test_a_storage_that_refuses_the_file_costs_nothing(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, tries = Folder.write, list[str]()

    def write(self: Folder, name: str, content: bytes, **given: Any) -> None:
        if name == heartbeat.FILE:
            tries.append(name)
            raise error
        kept(self, name, content, **given)

    monkeypatch.setattr(Folder, "write", write)
    loop = train(folder := Folder.at(str(tmp_path)), Slow(lambda: wait_for(lambda: len(tries) > 2)))
    assert (loop.step, len(CheckpointStore(folder).names())) == (4, 2)
    assert found(folder) is None


def test_a_storage_that_hangs_holds_one_request_and_not_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, tries, over = Folder.write, list[str](), threading.Event()

    def write(self: Folder, name: str, content: bytes, **given: Any) -> None:
        if name == heartbeat.FILE:
            tries.append(name)
            over.wait()
        kept(self, name, content, **given)

    monkeypatch.setattr(Folder, "write", write)
    loop = train(Folder.at(str(tmp_path)), Slow(lambda: time.sleep(5 * OFTEN)))
    assert (loop.step, tries[1:]) in ((4, []), (4, tries[:1])), "a second one is that of the end"
    over.set()


def test_an_attempt_that_was_lost_writes_no_more(tmp_path: Path) -> None:
    folder = Folder.at(str(tmp_path))
    loop = Loop(TOY, TOY.config({"steps": 2, "eval_every": 2}), None)
    with Heartbeat(folder, 1, "one", OFTEN) as lost:
        wait_for(lambda: found(folder))
        with Heartbeat(folder, 2, "two", OFTEN) as later:
            later.watch(loop)
            wait_for(lambda: read(folder, 2, patience=5))
            wait_for(lambda: not lost._thread.is_alive())
            before = found(folder)
    assert found(folder) == before
    assert before is not None
    assert before.state == "starting", "not `ended`: it does not know that"
    ended = read(folder, 2, patience=5)
    assert ended is not None
    assert (ended.run, ended.state) == ("two", "ended")


def test_training_is_the_same_with_and_without_it(tmp_path: Path) -> None:
    loop = train(Folder.at(str(tmp_path / "with")), interval=0.01, sleep=0.01, steps=20)
    alone = Loop(TOY, loop.config, None)
    list(alone.run())
    assert all(torch.equal(one, other) for one, other in zip(_weights(loop), _weights(alone), strict=True))
    assert torch.equal(loop.state()["generators"]["cpu"], alone.state()["generators"]["cpu"])


def _weights(loop: Loop) -> list[torch.Tensor]:
    return list(loop.task.model.state_dict().values())


@pytest.mark.parametrize("content", ["", "[]", "7", '{"run": "x"}', '{"time": "soon"}'])
def test_a_file_that_cannot_be_understood_is_none(content: str, tmp_path: Path) -> None:
    Folder.at(str(tmp_path)).write("attempt-01/heartbeat.json", content.encode())
    assert found(Folder.at(str(tmp_path))) is None


def test_on_an_object_store_it_is_written_seldom(s3_options: str) -> None:
    folder = Folder.at(f"s3://bucket/heartbeat/trials/0003?{s3_options}")
    train(folder, interval=None)
    beat = found(folder)
    assert beat is not None
    assert (beat.state, beat.interval) == ("ended", 60)


def test_every_attempt_of_a_sweep_has_one(tmp_path: Path) -> None:
    settings = dataclasses.replace(BASE, trials=4, budget=3, confirm=1, replicates=1)
    folder = Folder.at(str(tmp_path / "played"))
    trials = play(folder, settings).history.trials
    assert {check.name: check.state for check in diagnose(folder)}["temporary"] == "ok"
    for trial in trials.values():
        beat = read(folder / trial_folder(trial.number), trial.attempts, patience=5)
        assert beat is not None
        assert (beat.state, beat.step) == ("ended", trial.step)
        assert beat.run == f"played/{trial_folder(trial.number)}/attempt-{trial.attempts:02d}"
