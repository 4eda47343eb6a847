"""Whole sweeps as a user runs them: real Ray, real processes, real signals."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from leadline import cpus
from leadline.commands import dispatch
from leadline.engine.supervisor import TWICE_SECONDS
from leadline.ledger.events import Failed
from leadline.ledger.history import History
from leadline.ledger.segments import read
from leadline.storage import Folder
from leadline.training.loop import Loop
from tests.conftest import ROOT, command
from tests.leadline.ledger_audit import audit
from tests.leadline.toy import TOY as TOY_FAMILY

pytestmark = pytest.mark.sweep

TOY = ("-m", "tests.leadline.toy_study")


def history_of(storage: Path, name: str) -> History:
    return History.of(read(Folder.at(str(storage / name / "ledger"))))


def board_of(storage: Path, name: str) -> dict[str, Any]:
    run = command("-m", "leadline", "leaderboard", str(storage / name), "--json")
    assert run.returncode == 0, run.stderr
    board: dict[str, Any] = json.loads(run.stdout)
    return board


def toy(storage: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return command(*TOY, "--storage", str(storage), *arguments, PYTHONPATH=str(ROOT))


def start_toy(storage: Path, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *TOY, "--storage", str(storage), *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        text=True,
    )


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str], seconds: float = 120) -> None:
    """Waits for a state, not for a time; the limit only ends a hang."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_interrupted_by_a_signal_then_resumed_and_extended(scratch: Path) -> None:
    """The signal goes to the whole process group, as `timeout` and job schedulers send it."""
    process = start_toy(scratch, "--name", "a", "sleep=0.05")
    wait_for(lambda: (scratch / "a" / "trials" / "0002" / "attempt-01" / "log.txt").exists(), process)
    os.killpg(process.pid, signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, out + err
    assert (
        "toy_study.py --resume a --storage" in out + err
    )  # by the parent, where Ray has ended the driver after all was done
    assert history_of(scratch, "a").closed == "interrupted"
    again = start_toy(scratch, "--resume", "a")
    wait_for(lambda: len(history_of(scratch, "a").manifests) == 2, again)
    again.send_signal(signal.SIGINT)
    assert again.stderr is not None
    while "once more to stop at once" not in again.stderr.readline():
        assert again.poll() is None
    time.sleep(TWICE_SECONDS)
    again.send_signal(signal.SIGINT)
    out, err = again.communicate(timeout=60)
    assert again.returncode == 130, out + err
    assert "toy_study.py --resume a --storage" in out + err
    done = toy(scratch, "--resume", "a", "--trials", "10", "--steps", "36", "--confirm", "0")
    assert done.returncode == 0, done.stdout + done.stderr
    history = history_of(scratch, "a")
    assert len(history.search_trials()) == 10
    assert not any(trial.open for trial in history.trials.values())
    assert [len(manifest["command"]) > 0 for manifest in history.manifests] == [True, True, True]
    assert "note: the budget is now 36 steps: of " in done.stdout
    assert {trial.step for trial in history.search_trials() if trial.status == "finished"} == {36}
    assert audit(Folder.at(str(scratch / "a"))) == [], (
        "with two at a time, proposals are those that the order of the ledger makes"
    )


def test_stopped_by_whoever_reaches_the_storage(scratch: Path) -> None:
    process = start_toy(scratch, "--name", "a", "sleep=0.05")
    wait_for(lambda: (scratch / "a" / "trials" / "0001" / "attempt-01" / "log.txt").exists(), process)
    stopped = command("-m", "leadline", "stop", str(scratch / "a"))
    assert stopped.returncode == 0, stopped.stderr
    assert re.match(r"asked process \d+ on .* to stop\nstopped; ", stopped.stdout)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, "asked to stop" in err) == (130, True), out + err
    assert history_of(scratch, "a").closed == "interrupted"
    nobody = command("-m", "leadline", "stop", str(scratch / "a"))
    assert (nobody.returncode, f"error: stop: nobody runs it: {scratch / 'a'}; a job that" in nobody.stderr) == (
        2,
        True,
    )


def test_failures_are_results(scratch: Path) -> None:
    mark = scratch / "died"
    first = scratch / "first.yaml"
    equal = "lr: 0.1, offset: 0.0"  # none of them is worse
    still = f"hang_once: '{mark}-still', {equal}"  # the first, as the others go on beside it
    entries = (still, "raise_at: 1", "nan_at: 3", f"die_once: '{mark}', {equal}", f"hold: 1.0e+9, {equal}")
    first.write_text("".join(f"- {{{entry}}}\n" for entry in entries))
    run = toy(
        scratch, "--name", "f", "--trials", "5", "--confirm", "0", "--enqueue", str(first), "--stuck-after", "10s"
    )
    assert run.returncode == 0, run.stdout + run.stderr
    trials = history_of(scratch, "f").trials
    stood, raised, diverged, died, large = (trials[number] for number in range(5))
    assert (raised.status, raised.attempts, raised.step) == ("failed", 3, 0)
    assert "ArithmeticError: asked to fail at step 1" in raised.reason
    assert (diverged.status, diverged.reason) == ("stopped", "step 3: the objective is nan")
    assert (died.status, died.attempts, died.failures) == ("finished", 2, 1)
    assert (stood.attempts, stood.failures, stood.open) == (2, 1, False)
    errors = [
        event.error
        for event in read(Folder.at(str(scratch / "f" / "ledger")))
        if isinstance(event, Failed) and event.trial == 0
    ]
    assert errors[0].endswith("stuck: no step for 10 s, so the process was ended; its stacks stand above")
    assert re.search(r"toy\.py\", line \d+ in batch", errors[0]), "it says where"
    assert [report.step for report in died.reports] == list(range(3, 28, 3))
    assert (large.status, large.attempts, large.step) == ("failed", 3, 12)
    assert large.brief == "infeasible: out of memory with micro-batches of 1 row, the smallest tried"
    assert "the process held at most" in large.reason.splitlines()[-1]
    assert (
        "failure: trial 1: attempt 1 failed (error): ArithmeticError: asked to fail at step 1; tried again"
        in run.stdout
    )
    assert [trial.cause for trial in (raised, died, stood, large)] == ["error", "lost", "stuck", "memory"]
    board = command("-m", "leadline", "leaderboard", str(scratch / "f")).stdout
    assert "3 failed attempts (error), ArithmeticError: asked to fail at step 1" in " ".join(board.split())
    assert (
        "resumed from attempt-01/step-000000012"
        in (scratch / "f" / "trials" / "0003" / "attempt-02" / "log.txt").read_text()
    )


def test_an_audit_that_fails_refuses_the_sweep(scratch: Path) -> None:
    run = toy(scratch, "--name", "leaky", "leak=true")
    assert run.returncode == 1
    assert "refused by the overlap audit: 3 training rows are also scored" in run.stderr
    assert history_of(scratch, "leaky").trials == {}


LOCKED = """
import dataclasses, threading
from leadline import main
from tests.leadline.toy import Toy
from tests.leadline.toy_study import STUDY

class Locked(Toy):
    def build_data(self, config):
        return {"train": {"lock": threading.Lock()}}

LOCKED = Locked()
if __name__ == "__main__":
    main(dataclasses.replace(STUDY, family="locked:LOCKED"))
"""


def test_data_that_cannot_be_pickled_is_one_line_and_no_restart(scratch: Path) -> None:
    (scratch / "locked.py").write_text(LOCKED)
    run = command("locked.py", "--name", "x", "--scale", "smoke", cwd=scratch, PYTHONPATH=str(ROOT))
    assert run.returncode == 1
    assert "refused build_data: train.lock cannot be pickled: cannot pickle '_thread.lock' object\n" in run.stderr
    assert not any(words in run.stdout + run.stderr for words in ("Traceback", "started again"))
    assert history_of(scratch / "results", "x").trials == {}


def test_two_workers_train_one_trial_together(scratch: Path) -> None:
    """What each prints is in a log of its own, and what it warns of is noted once."""
    if cpus.usable() < 2:
        pytest.skip("needs two CPUs")
    script = scratch / "talkative_study.py"
    script.write_text(
        "from dataclasses import replace\n"
        "from leadline import main\n"
        "from tests.leadline.toy_study import STUDY\n"
        "if __name__ == '__main__':\n"
        "    main(replace(STUDY, family='tests.leadline.engine.ray.test_workers:TALKATIVE'), '')\n"
    )
    options = ("--scale", "smoke", "--trials", "1", "level=1", "lr=0.1", "offset=0", "--workers-per-trial", "2")
    run = command(str(script), "--storage", str(scratch), "--name", "t", *options, PYTHONPATH=str(ROOT))
    assert run.returncode == 0, run.stdout + run.stderr
    assert "starting Ray and building the data" in run.stdout
    two = history_of(scratch, "t").trials[0]
    assert two.status == "finished"
    alone = list(Loop(TOY_FAMILY, TOY_FAMILY.config(two.config), None).run())
    assert [report.step for report in two.reports] == [report.step for report in alone] == [4, 8]
    for one, other in zip(alone, two.reports, strict=True):
        assert other.metrics["validation/error"].value == pytest.approx(one.metrics["validation/error"].value, abs=1e-6)
    for name in ("log.txt", "log-1.txt"):
        lines = (scratch / "t" / "trials" / "0000" / "attempt-01" / name).read_text().splitlines()
        assert [line[9:] for line in lines if " prints at " in line] == [f"prints at {step}" for step in range(8)]
    assert history_of(scratch, "t").notes == [
        "trial 0: step 0 is odd (8 times)",
        "trial 0: always the same (8 times)",
    ]
    shown = command("-m", "leadline", "log", str(scratch / "t"), "0")
    assert shown.returncode == 0, shown.stderr
    assert re.findall("==> (.*) <==", shown.stdout) == ["attempt-01/log.txt", "attempt-01/log-1.txt"]


def test_a_family_and_a_study_from_outside(scratch: Path) -> None:
    assert dispatch.main(["new", "family", "pendulum", "--to", str(scratch)]) == 0
    run = command("pendulum_study.py", "--name", "x", "--scale", "smoke", cwd=scratch)
    assert run.returncode == 0, run.stdout + run.stderr
    board = board_of(scratch / "results", "x")
    assert {row["status"] for row in board["rows"]} <= {"finished", "stopped"}
    assert board["rows"][0]["value"] < board["baselines"][0]["value"]
    assert board["confirmed"][0]["replicates"] == 1


STANDS_STILL = """
import ctypes, dataclasses
from pathlib import Path
from leadline import main
from tests.leadline import toy_study

def space(trial, scale):
    if Path("results/a/trials/0001").exists():  # as the next trial is proposed
        Path("still").touch()
        lock = ctypes.create_string_buffer(64)
        for _ in range(2):
            ctypes.PyDLL(None).pthread_mutex_lock(lock)
    return toy_study.space(trial, scale)

main(dataclasses.replace(toy_study.STUDY, space=space))
"""


def test_a_driver_that_stands_still_is_ended_with_all_that_it_started(scratch: Path) -> None:
    (scratch / "study.py").write_text(STANDS_STILL)
    process = subprocess.Popen(
        [sys.executable, "study.py", "--name", "a", "--concurrent", "1"],
        cwd=scratch,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        text=True,
    )
    wait_for((scratch / "still").exists, process)
    started = psutil.Process(process.pid).children(recursive=True)
    for _ in range(3):
        process.send_signal(signal.SIGINT)
        time.sleep(2 * TWICE_SECONDS)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, out + err
    assert "the driver, which did not react, was ended; go on with: python study.py --resume a" in err
    _, alive = psutil.wait_procs(started, timeout=60)
    assert [one for one in alive if one.is_running() and one.status() != psutil.STATUS_ZOMBIE] == []
    assert history_of(scratch / "results", "a").trials[0].status in ("finished", "stopped")


def test_a_script_that_imports_ray(scratch: Path) -> None:
    """Ray reads its environment when it is imported, which is before `main()` there."""
    script = scratch / "with_ray.py"
    script.write_text(
        "import ray\nfrom leadline import main\nfrom tests.leadline.toy_study import STUDY\n"
        "if __name__ == '__main__':\n    main(STUDY)\n"
    )
    options = ("--scale", "smoke", "--trials", "1", "level=1")
    run = command(str(script), "--storage", str(scratch), "--name", "r", *options, PYTHONPATH=str(ROOT))
    assert run.returncode == 0, run.stdout + run.stderr
    assert "started again" not in run.stderr
    code = "import ray, runpy\nrunpy.run_module('tests.leadline.toy_study', run_name='__main__')"
    refused = command("-c", code, PYTHONPATH=str(ROOT))
    said = "error: ray: was imported before main() was called, which must be called by the script itself then\n"
    assert (refused.returncode, refused.stderr) == (2, said)


def test_a_long_temporary_folder(scratch: Path) -> None:
    long = scratch / ("x" * 60) / ("y" * 60)
    long.mkdir(parents=True)
    process = start_toy(scratch / "r", "--name", "a", "--scale", "smoke", TMPDIR=str(long))
    wait_for(lambda: bool(folders_of_ray(process)), process)
    (folder,) = folders_of_ray(process)
    out, err = process.communicate(timeout=240)
    assert process.returncode == 0, out + err
    assert list(long.glob("leadline-*")) == []
    assert (folder.parent, folder.exists()) == (Path("/tmp"), False)


def folders_of_ray(process: subprocess.Popen[str]) -> set[Path]:
    """The temporary folders of the Rays below a process, from their commands: others may run on this machine."""
    found: set[Path] = set()
    for one in psutil.Process(process.pid).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            if one.name() == "gcs_server":
                # One that is just being started has no words yet.
                logs = [word.removeprefix("--log_dir=") for word in one.cmdline() if word.startswith("--log_dir=")]
                found.update(Path(folder).parents[1] for folder in logs)
    return found


def test_a_ray_that_the_script_has_started_is_refused(scratch: Path) -> None:
    program = """
import ray
ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False)
from leadline import main
from tests.leadline.toy_study import STUDY
main(STUDY)
"""
    # A bare Ray keeps its token in the home folder.
    run = command("-c", program, cwd=scratch, PYTHONPATH=str(ROOT), HOME=str(scratch))
    assert run.returncode == 2, run.stderr
    assert run.stderr.splitlines()[-1].startswith("error: ray: ray.init() was called before main(); leave it out, ")
    assert not (scratch / "results").exists()


def test_a_sweep_that_loses_its_driver_and_its_storage_goes_on_from_its_mirror(scratch: Path) -> None:
    """The driver is killed and replaced; then the first place is gone, and the second takes over."""
    first, second = scratch / "first", scratch / "second"
    process = start_toy(first, "--name", "a", "--mirror", str(second), "sleep=0.05")
    wait_for(lambda: (second / "a" / "mirror.json").exists(), process)
    (driver,) = psutil.Process(process.pid).children()
    driver.kill()
    out, err = process.communicate(timeout=240)
    assert process.returncode == 0, out + err
    assert "started again by replay" in err
    assert f"mirror       {second / 'a'}: complete, up to segment " in out
    assert read(Folder.at(str(second / "a" / "ledger"))) == read(Folder.at(str(first / "a" / "ledger")))
    assert board_of(second, "a")["confirmed"] == board_of(first, "a")["confirmed"]
    shutil.rmtree(first)
    refused = toy(second, "--resume", "a", "--trials", "10")
    assert (refused.returncode, f"is a mirror of {first / 'a'}; " in refused.stderr) == (2, True)
    (second / "a" / "mirror.json").unlink()
    done = toy(second, "--resume", "a", "--trials", "10", "--steps", "36", "--confirm", "0")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"the mirror {second} is the storage now; --mirror names another" in done.stdout
    history = history_of(second, "a")
    assert len(history.search_trials()) == 10
    assert {trial.step for trial in history.search_trials() if trial.status == "finished"} == {36}
    assert audit(Folder.at(str(second / "a"))) == []
