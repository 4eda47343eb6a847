"""Failures have a cause, which decides what follows. Without Ray, but for its own words."""

from __future__ import annotations

import dataclasses
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import ray
import torch
from optuna.trial import TrialState

from leadline.config import make, to_dict
from leadline.engine.director import Assignment, Director
from leadline.engine.failure_causes import Cause, bystander, cause_of, halved, killed, named, rows_tried
from leadline.engine.ray import workers
from leadline.ledger import leaderboard
from leadline.ledger.events import Event, Failed
from leadline.ledger.history import Trial
from leadline.ledger.settings import Settings
from leadline.ledger.wording import last_line
from leadline.storage import StorageError
from tests.leadline.engine.test_director import BASE, _report
from tests.leadline.in_process_sweep import here
from tests.leadline.toy import ToyConfig
from tests.leadline.toy_study import STUDY

TOO_MUCH = 10**15
ALONE = dataclasses.replace(BASE, trials=1, strata=(1,), confirm=0, concurrent=1)
KILLED = """2 worker(s) were killed due to the node running low on memory. Memory on the node (IP: 127.0.0.1, ID: dd6c) was 3.25GB used / \
23.54GB limit (0.137907)
OOM kill reason: Memory usage 3464847360B exceeded threshold of 3450244352B (13.6% of 25276514304B limit)
Considered workers: [
Selected to kill: (Actor(ce89): job ID=01000000, task name=ResourceTrainable.__init__, pid=6145, actual memory used=1.85GB, worker ID=030c)
Selected to kill: (Actor(e192): job ID=01000000, task name=ResourceTrainable.__init__, pid=6144, actual memory used=0.11GB, worker ID=030d)
]
Top 10 memory users: PID\tMEM(GB)\tCOMMAND
6145\t1.85\tray::ResourceTrainable.train
2684\t0.31\tpython other.py
Refer to the documentation on how to address the out of memory issue."""  # noqa: E501
"""What Ray 2.60 says, without what is not read."""
DIED = (
    "The actor died unexpectedly before finishing this task.\n\tclass_name: TrialProcess\n"
    "The actor is dead because its worker process has died."
)
NOTE = "out of memory with micro-batches of {} rows; the process held at most 3.2 GB"


def raised(action: Callable[[], object]) -> str:
    """The traceback that an action leaves, in the form in which Tune writes it down."""
    try:
        action()
    except Exception:
        return f"Failure # 1 (occurred at 2026-01-01_00-00-00)\nray::TrialProcess.train() (pid=7, ip=127.0.0.1)\n{traceback.format_exc()}"  # noqa: E501
    raise AssertionError("nothing was raised")


def _raise(error: Exception) -> None:
    raise error


def _chained() -> None:
    try:
        np.empty(TOO_MUCH)
    except MemoryError as error:
        raise ValueError("the step failed") from error


@pytest.mark.parametrize(
    ("action", "cause"),
    [
        (lambda: 1 / 0, "error"),
        (lambda: _raise(RuntimeError("a name such as MemoryError in the text")), "error"),
        (lambda: np.empty(TOO_MUCH), "memory"),
        (lambda: torch.empty(TOO_MUCH), "memory"),
        (lambda: _raise(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")), "memory"),
        (lambda: _raise(MemoryError()), "memory"),
        (lambda: _raise(OSError(12, "Cannot allocate memory")), "memory"),
        (lambda: _raise(OSError(28, "No space left on device")), "error"),
        (lambda: _raise(StorageError("write: refused for 120 s")), "storage"),
        (_chained, "memory"),
    ],
)
def test_the_cause_of_an_exception(action: Callable[[], object], cause: Cause) -> None:
    assert cause_of(raised(action)) == cause


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (KILLED, "memory"),
        (DIED, "lost"),
        ("lost: the process or its machine went away", "lost"),
        (
            'File "toy.py", line 5 in batch\nstuck: no step for 5 s, so the process was ended; its stacks stand above',
            "stuck",
        ),
        (
            "The actor died because of an error raised in its creation task, ray::TrialProcess.__init__()\nValueError: no",  # noqa: E501
            "error",
        ),
        (
            "RuntimeError: worker group ended: Training failed:\n[Rank 1]\ntorch.OutOfMemoryError: CUDA out of memory.\n",  # noqa: E501
            "memory",
        ),
        ("", "error"),
    ],
)
def test_the_cause_that_ray_or_we_tell(error: str, cause: Cause) -> None:
    assert cause_of(error) == cause


def test_a_killed_process_is_told_with_what_it_held() -> None:
    told = killed(KILLED, "ce89")
    assert told.startswith(KILLED)
    node = "node: 3.25GB used / 23.54GB limit"
    assert last_line(told) == f"out of memory: Ray's memory monitor ended the process, which held 1.85 GB; {node}"
    small = killed(KILLED, "e192")
    held = "which held 0.11 GB, while another held 1.85 GB"
    assert last_line(small) == f"out of memory: Ray's memory monitor ended the process, {held}; {node}"
    assert [cause_of(told), cause_of(small), bystander(told), bystander(small)] == ["memory", "memory", False, True]
    group = f"worker group ended: A worker health check failed.\n  actor=Actor(RayTrainWorker, ce89),\n{KILLED}"
    assert last_line(killed(group)) == last_line(told)
    assert last_line(killed(KILLED)) == f"out of memory: Ray's memory monitor ended the process; {node}"
    assert killed(DIED) == DIED


def test_halves() -> None:
    assert [halved(512), halved(5), halved(1), halved(0), halved("auto"), halved("1/2")] == [
        256,
        2,
        None,
        "1/2",
        "1/2",
        "1/4",
    ]
    assert [named(512), named(1), named("1/4")] == [
        "micro-batches of 512 rows",
        "micro-batches of 1 row",
        "micro-batches of 1/4 of the batch",
    ]
    assert named(0) == named("auto") == "the whole batch"


def test_the_process_says_what_was_tried_and_held(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    config = make(ToyConfig, {"steps": 4, "eval_every": 2, "micro_batch": "1/2", "hold": 1e9})
    fields: dict[str, Any] = {
        "trial": 0,
        "attempt": 1,
        "family": "tests.leadline.toy:TOY",
        "config": to_dict(config),
        "folder": str(tmp_path / "trial"),
    }
    machine: dict[str, Any] = {
        "cpus": 1,
        "gpus": 0,
        "workers": 1,
        "stuck_after": 60,
        "patience": 60,
        "stacks": str(tmp_path / "stacks"),
    }
    monkeypatch.setattr(workers, "_data", lambda spec: None)
    monkeypatch.setattr(workers, "this_process", here)
    reports = workers.one_process(
        workers.AttemptSpec(**fields, **machine, data_key="", data=b"", metric="error", rungs=(), test=False, known=0)
    )
    assert next(reports)[0].facts["micro_batch"] == 2
    error = raised(lambda: next(reports))
    assert (cause_of(error), rows_tried(error)) == ("memory", 2)
    assert last_line(error).startswith("out of memory with micro-batches of 2 rows; the process held at most ")
    assert last_line(error) in (tmp_path / "trial" / "attempt-01" / "log.txt").read_text()
    assert not ray.is_initialized()


class Attempts:
    """A sweep of one trial, whose attempts go as a test says."""

    def __init__(self, micro_batch: int | str, **settings: Any) -> None:
        self.settings: Settings = dataclasses.replace(ALONE, fields={"micro_batch": micro_batch}, **settings)
        self.events: list[Event] = []
        self.director = Director(self.settings, STUDY.space, self.events.append)
        self.director.opened({})

    @property
    def trial(self) -> Trial:
        return self.director.history.trials[0]

    def start(self) -> Assignment:
        found = self.director.next()
        assert isinstance(found, Assignment)
        self.director.started(found.trial, found.attempt)
        return found

    def fails(self, error: str, reports: int = 0) -> int | str:
        """Another attempt, which makes some reports before it fails; the micro-batch that it was given."""
        found = self.start()
        for step in range(found.known + 1, found.known + 1 + reports):
            self.director.reported(found.trial, _report(found.config, step, found.test))
        self.director.failed(found.trial, error)
        given: int | str = found.config["micro_batch"]
        return given

    def replayed(self, events: int) -> Director:
        again = Director(self.settings, STUDY.space)
        again.replay(self.events[:events])
        return again


@pytest.mark.parametrize(
    ("chosen", "error", "given"),
    [
        (0, KILLED, [0, "1/2", "1/4", "1/8"]),
        (512, KILLED, [512, 256, 128, 64]),
        ("auto", KILLED, ["auto", "1/2", "1/4", "1/8"]),
        (0, NOTE.format(64), [0, 32, 32, 32]),
        (512, DIED, [512, 512, 512, 512]),
    ],
)
def test_what_did_not_fit_is_tried_in_halves(chosen: int | str, error: str, given: list[int | str]) -> None:
    attempts = Attempts(chosen, max_failures=9)
    assert [attempts.fails(error) for _ in given] == given
    assert {event.cause for event in attempts.events if isinstance(event, Failed)} == {cause_of(error)}


def _many_failures() -> Iterator[tuple[str, int]]:
    yield from [
        ("Traceback\nValueError: no", 1),
        (KILLED, 1),
        (DIED, 1),
        ("a.StorageError: refused", 0),
        (NOTE.format(2), 2),
        (DIED, 0),
    ]


def test_replay_gives_the_same_next_attempt_at_every_cut() -> None:
    attempts = Attempts(0, max_failures=9, budget=27)
    expected: dict[int, tuple[Any, ...]] = {}
    for error, reports in _many_failures():
        attempts.fails(error, reports)
        expected[len(attempts.events)] = (
            attempts.trial.trained_config,
            attempts.trial.failures,
            attempts.trial.cause,
            attempts.trial.step,
        )
    for cut, (config, failures, cause, step) in expected.items():
        again = attempts.replayed(cut)
        trial = again.history.trials[0]
        assert (trial.failures, trial.cause) == (failures, cause)
        assert again.next() == Assignment(0, trial.attempts + 1, config, test=False, known=step)
    assert [row[0]["micro_batch"] for row in expected.values()] == [0, "1/2", "1/2", "1/2", 1, 1]
    for cut in range(3, len(attempts.events)):  # also where an attempt was running
        found = attempts.replayed(cut).next()
        assert isinstance(found, Assignment)
        before = [config for events, (config, *_) in expected.items() if events <= cut]
        assert found.config == (before[-1] if before else attempts.trial.config)


@pytest.mark.parametrize(
    ("rows", "failures", "smallest"), [(2, 9, "micro-batches of 1 row"), (512, 1, "micro-batches of 256 rows")]
)
def test_what_fits_in_no_micro_batch_is_infeasible(rows: int, failures: int, smallest: str) -> None:
    """Told to Optuna as pruned without values, reports or not: the region is avoided."""
    attempts = Attempts(rows, max_failures=failures)
    attempts.fails(KILLED, reports=1)
    assert attempts.trial.status == "waiting"
    attempts.fails(KILLED)
    trial = attempts.trial
    assert (trial.status, trial.failures, trial.infeasible) == ("failed", 2, True)
    assert trial.brief == f"infeasible: out of memory with {smallest}, the smallest tried"
    assert trial.reason.endswith(KILLED), "all of it is kept"
    assert leaderboard.marks(attempts.director.history, trial)[-2:] == ["2 failed attempts (memory)", trial.brief]
    for director in (attempts.director, attempts.replayed(len(attempts.events))):
        told = director._search["1"].observations.as_optuna()[0]
        assert (told.state, told.values, told.intermediate_values) == (TrialState.PRUNED, None, {})


def test_a_small_process_that_went_for_a_large_one_is_not_infeasible() -> None:
    attempts = Attempts(512, max_failures=1)
    assert [attempts.fails(killed(KILLED, "e192")) for _ in range(2)] == [512, 256], "less may help all the same"
    assert (attempts.trial.status, attempts.trial.cause, attempts.trial.infeasible) == ("failed", "memory", False)
    assert attempts.director._search["1"].observations.as_optuna()[0].state == TrialState.FAIL


def test_an_error_is_told_to_optuna_as_failed() -> None:
    attempts = Attempts(0, max_failures=0)
    attempts.fails("Traceback\nValueError: no", reports=1)
    assert not attempts.trial.infeasible
    assert attempts.director._search["1"].observations.as_optuna()[0].state == TrialState.FAIL
    assert leaderboard.marks(attempts.director.history, attempts.trial)[-2:] == [
        "1 failed attempt (error)",
        "ValueError: no",
    ]


def test_a_store_that_refuses_is_no_fault_of_a_trial_and_halts_the_sweep() -> None:
    attempts = Attempts(0, max_failures=0)
    refused = "Traceback\nleadline.storage.StorageError: write state.pt: refused for 120 s"
    for _ in range(3):
        attempts.fails(refused)
    assert (attempts.trial.status, attempts.trial.failures, attempts.trial.attempts) == ("waiting", 0, 3)
    assert attempts.director.halting == "write state.pt: refused for 120 s"
    again = attempts.replayed(len(attempts.events))
    assert again.halting == "", "who resumes tries again"
    assert isinstance(again.next(), Assignment)


def test_failures_are_told_as_they_come() -> None:
    attempts = Attempts(512, max_failures=1)
    attempts.fails(NOTE.format(512))
    attempts.fails("Traceback\nValueError: no")
    assert attempts.director.news == [
        f"trial 0: attempt 1 failed (memory): {NOTE.format(512)}; tried again with micro-batches of 256 rows",
        "trial 0: attempt 2 failed (error): ValueError: no; given up",
    ]
