"""The parent of a driver: real forks and real signals, and drivers that only pretend to have a sweep."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from leadline.engine.supervisor import RESTARTS, RESUME
from tests.conftest import ROOT

DRIVER = """
import os, signal, sys, time
from pathlib import Path
sys.path[:0] = sys.argv[2:]  # the module alone, without its package
import supervisor

book = Path(sys.argv[1])

def write(*words):
    with book.open("a") as stream:
        print(*words, file=stream, flush=True)

def interrupted(number, frame):
    write("signal", number)
    raise SystemExit(130)

def drive(arguments, parent):
    write("driver", *arguments)
    {body}

{setup}
sys.exit(supervisor.supervise(drive, ["--trials", "3"]))
"""
BEGIN = "parent.running('a', 'here', None)"


def start(tmp_path: Path, body: str, setup: str = "") -> subprocess.Popen[str]:
    script = tmp_path / "study.py"
    script.write_text(DRIVER.format(body=body.replace("\n", "\n    "), setup=setup))
    arguments = [sys.executable, str(script), str(tmp_path / "book"), str(ROOT / "leadline" / "engine"), str(ROOT)]
    pipe, environment = subprocess.PIPE, {**os.environ, "TMPDIR": str(tmp_path)}
    return subprocess.Popen(
        arguments, stdout=pipe, stderr=pipe, text=True, env=environment, cwd=tmp_path, start_new_session=True
    )


def book(tmp_path: Path) -> list[str]:
    """What the drivers wrote."""
    path = tmp_path / "book"
    return path.read_text().splitlines() if path.exists() else []


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    _, err = process.communicate(timeout=60)
    return process.returncode, err


def wait_for_driver(tmp_path: Path, process: subprocess.Popen[str], word: str = "ready") -> psutil.Process:
    deadline = time.monotonic() + 60
    while word not in book(tmp_path):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return psutil.Process(process.pid).children()[0]


def has_ended(process: psutil.Process) -> bool:
    """Also where nobody reaps it, as in a container whose first process does not."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


WAITING = f"signal.signal(signal.SIGTERM, interrupted); signal.signal(signal.SIGINT, interrupted)\n{BEGIN}\nwrite('ready')\ntime.sleep(60)"  # noqa: E501


@pytest.mark.parametrize("code", [0, 1, 2, 130])
def test_the_code_of_a_driver_that_ends_by_itself_is_that_of_the_command(code: int, tmp_path: Path) -> None:
    assert ended(start(tmp_path, f"{BEGIN}\nreturn {code}")) == (code, "")
    assert book(tmp_path) == ["driver --trials 3"]
    assert not list(tmp_path.glob("leadline-*")), "its temporary folder is gone"


def test_help_ends_as_it_asks(tmp_path: Path) -> None:
    assert ended(start(tmp_path, "raise SystemExit(0)")) == (0, "")


def test_a_driver_that_was_killed_is_replaced_by_one_that_resumes(tmp_path: Path) -> None:
    body = f"if len(arguments) > 2: return 0\n{BEGIN}\n(Path(parent.scratch) / 'left').touch()\nos.kill(os.getpid(), 9)"
    code, err = ended(start(tmp_path, body))
    assert (code, err) == (0, f"driver ended by SIGKILL; started again by replay (1 of {RESTARTS})\n")
    assert book(tmp_path) == ["driver --trials 3", "driver --resume a --storage here"]
    assert not list(tmp_path.glob("leadline-*"))


def test_one_that_leaves_without_a_word_was_ended(tmp_path: Path) -> None:
    code, err = ended(start(tmp_path, f"if len(arguments) > 2: return 0\n{BEGIN}\nos._exit(1)"))
    assert (code, "driver ended with code 1 in the middle; started again" in err) == (0, True)


def test_one_that_asks_for_another_gets_it(tmp_path: Path) -> None:
    body = (
        f"if len(arguments) > 2: return 0\n{BEGIN}\nparent.ended(1, 'has lost Ray, whose raylet was ended')\nreturn 1"
    )
    code, err = ended(start(tmp_path, body))
    assert (code, "driver has lost Ray, whose raylet was ended; started again by replay" in err) == (0, True)


def test_what_has_failed_twice_before_any_trial_is_not_tried_again(tmp_path: Path) -> None:
    fails = f"{BEGIN}\nparent.ended(1, 'could not start Ray')\nreturn 1"
    code, err = ended(start(tmp_path, fails))
    assert code == 1
    assert err.splitlines() == [
        f"driver could not start Ray; started again by replay (1 of {RESTARTS})",
        "driver could not start Ray; go on with: python study.py --resume a --storage here",
    ]


def test_what_has_failed_after_trials_is(tmp_path: Path) -> None:
    fails = f"{BEGIN}\nparent.placing()\nparent.ended(1, 'has lost Ray')\nreturn 1"
    assert ended(start(tmp_path, fails))[0] == 1
    assert len(book(tmp_path)) == 1 + RESTARTS


def test_a_further_temporary_folder_is_removed_too(tmp_path: Path) -> None:
    make = "(Path(parent.scratch).parent / 'short').mkdir()\nparent.made(str(Path(parent.scratch).parent / 'short'))"
    assert ended(start(tmp_path, f"{make}\nos.kill(os.getpid(), 9)"))[0] == 1
    assert not (tmp_path / "short").exists()


def test_the_number_of_drivers_is_bounded(tmp_path: Path) -> None:
    code, err = ended(start(tmp_path, f"{BEGIN}\nos.kill(os.getpid(), 9)"))
    assert code == 1
    assert err.splitlines()[-1] == "driver ended by SIGKILL; go on with: python study.py --resume a --storage here"
    assert len(book(tmp_path)) == 1 + RESTARTS


def test_in_a_job_what_goes_on_with_the_sweep_is_what_its_submitter_would_type(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(RESUME, "python study.py --resume a --storage here --address URL")
    _, err = ended(start(tmp_path, f"{BEGIN}\nos.kill(os.getpid(), 9)"))
    assert err.splitlines()[-1].endswith("; go on with: python study.py --resume a --storage here --address URL")


def test_those_that_hand_over_as_planned_are_not_counted(tmp_path: Path) -> None:
    handing = f"{BEGIN}\nparent.ended(1, 'has done its share', planned=True)\nreturn 1"
    body = f"if len(book.read_text().splitlines()) > {RESTARTS + 3}: return 0\n{handing}"
    code, err = ended(start(tmp_path, body))
    assert (code, err.splitlines()) == (0, ["driver has done its share; started again by replay"] * (RESTARTS + 3))


def test_one_that_replaces_another_and_is_refused_says_how_to_go_on(tmp_path: Path) -> None:
    body = f"if parent.replaces: return 2\n{BEGIN}\nos.kill(os.getpid(), 9)"
    code, err = ended(start(tmp_path, body))
    assert (code, err.splitlines()[-1]) == (
        1,
        "driver could not go on; go on with: python study.py --resume a --storage here",
    )


def test_one_that_dies_before_it_has_a_sweep_is_not_replaced(tmp_path: Path) -> None:
    assert ended(start(tmp_path, "os.kill(os.getpid(), 9)")) == (1, "driver ended by SIGKILL\n")
    assert len(book(tmp_path)) == 1


def test_what_is_left_of_a_time_limit_goes_to_the_next_driver(tmp_path: Path) -> None:
    begin = "if not parent.replaces: parent.running('a', 'here', 3600)"
    body = f"if len(book.read_text().splitlines()) > 2: return 0\n{begin}\nos.kill(os.getpid(), 9)"
    assert ended(start(tmp_path, body))[0] == 0
    limits = [line.split("--time-limit ")[1] for line in book(tmp_path)[1:]]
    assert len(limits) == 2, "also to the one after a driver that has died before it said anything"
    assert all(3000 < float(limit.rstrip("s")) <= 3600 for limit in limits)


def test_where_it_runs_goes_to_the_next_driver_and_into_the_command_that_goes_on(tmp_path: Path) -> None:
    begin = "if not parent.replaces: parent.running('a', 'here', None, 'local')"
    code, err = ended(start(tmp_path, f"{begin}\nif parent.replaces: return 2\nos.kill(os.getpid(), 9)"))
    assert book(tmp_path)[1:] == ["driver --resume a --storage here --address local"]
    last = "driver could not go on; go on with: python study.py --resume a --storage here --address local"
    assert (code, err.splitlines()[-1]) == (1, last)


DAEMON = "if not os.fork():\n    write('daemon', os.getpid())\n    os.close(1)\n    os.close(2)\n    time.sleep(1000)"
"""What a script or a family may leave behind: a forked process, which has all that its parent has open."""


@pytest.mark.parametrize("ends", ["return 0", "if len(arguments) > 2: return 0\nos.kill(os.getpid(), 9)"])
def test_a_process_that_a_driver_leaves_behind_holds_up_nothing(ends: str, tmp_path: Path) -> None:
    process = start(tmp_path, f"{BEGIN}\n{DAEMON}\n{ends}")
    try:
        assert ended(process)[0] == 0
        daemons = [psutil.Process(int(line.split()[1])) for line in book(tmp_path) if line.startswith("daemon")]
        assert not any(map(has_ended, daemons))
    finally:
        for line in book(tmp_path):
            if line.startswith("daemon"):
                os.kill(int(line.split()[1]), signal.SIGKILL)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_passed_on_once_and_nothing_is_started_again(number: signal.Signals, tmp_path: Path) -> None:
    process = start(tmp_path, WAITING)
    wait_for_driver(tmp_path, process)
    process.send_signal(number)
    assert ended(process) == (130, "")
    assert book(tmp_path) == ["driver --trials 3", "ready", f"signal {number.value}"]


def test_a_signal_to_the_process_group_reaches_the_driver_once(tmp_path: Path) -> None:
    process = start(tmp_path, WAITING)
    driver = wait_for_driver(tmp_path, process)
    assert os.getpgid(driver.pid) == driver.pid != os.getpgid(process.pid), "a group of its own"
    os.killpg(process.pid, signal.SIGINT)
    assert ended(process) == (130, "")
    assert book(tmp_path) == ["driver --trials 3", "ready", f"signal {signal.SIGINT.value}"]


def test_interrupted_before_there_is_a_handler(tmp_path: Path) -> None:
    process = start(tmp_path, f"{BEGIN}\nwrite('ready')\ntime.sleep(60)")
    wait_for_driver(tmp_path, process)
    process.send_signal(signal.SIGTERM)
    code, err = ended(process)
    assert (code, err) == (130, "interrupted; go on with: python study.py --resume a --storage here\n")


def test_a_driver_whose_parent_dies_ends_as_if_interrupted(tmp_path: Path) -> None:
    process = start(tmp_path, WAITING)
    driver = wait_for_driver(tmp_path, process)
    process.kill()
    deadline = time.monotonic() + 60
    while not has_ended(driver):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert book(tmp_path)[-1] == f"signal {signal.SIGTERM.value}"
    process.communicate()


def test_an_exception_is_told_and_ends_the_command(tmp_path: Path) -> None:
    code, err = ended(start(tmp_path, "raise ArithmeticError('told')"))
    assert code == 1
    assert err.strip().endswith("ArithmeticError: told")
    assert len(book(tmp_path)) == 1


STUCK = (
    f"{BEGIN}\nimport ctypes, subprocess\nsignal.signal(signal.SIGINT, lambda number, frame: None)\n"
    "write('child', subprocess.Popen(['sleep', '1000']).pid)\nwrite('ready')\n"
    "lock = ctypes.create_string_buffer(64)\nfor _ in range(2): ctypes.PyDLL(None).pthread_mutex_lock(lock)"
)
"""A driver that waits in C with the interpreter's lock held, so that no handler of it runs.

The one that it has does nothing, as a signal may come before it waits.
"""


def child_of_the_driver(tmp_path: Path) -> psutil.Process:
    return psutil.Process(int(next(line.split()[1] for line in book(tmp_path) if line.startswith("child"))))


def assert_ended_by_its_parent(tmp_path: Path, process: subprocess.Popen[str], *others: psutil.Process) -> None:
    code, err = ended(process)
    assert (code, err) == (
        130,
        "interrupted, and the driver, which did not react, was ended; "
        "go on with: python study.py --resume a --storage here\n",
    )
    deadline = time.monotonic() + 60
    while not all(map(has_ended, others)):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert not list(tmp_path.glob("leadline-*"))


def test_a_driver_that_does_not_react_is_ended_after_a_few_signals(tmp_path: Path) -> None:
    process = start(tmp_path, STUCK)
    driver = wait_for_driver(tmp_path, process)
    child = child_of_the_driver(tmp_path)
    while process.poll() is None:  # not three at once, which may be one
        process.send_signal(signal.SIGINT)
        time.sleep(0.1)
    assert_ended_by_its_parent(tmp_path, process, driver, child)


def test_signals_of_one_moment_are_one(tmp_path: Path) -> None:
    """As those of a held key, which reach a driver that is in C for a moment."""
    wait = "while 'all sent' not in book.read_text():\n    time.sleep(0.02)\nreturn 130"
    deaf = f"signal.signal(signal.SIGINT, signal.SIG_IGN)\n{BEGIN}\nwrite('ready')\n{wait}"
    process = start(tmp_path, deaf, "supervisor.TWICE_SECONDS = 60.0")
    wait_for_driver(tmp_path, process)
    for _ in range(5):
        process.send_signal(signal.SIGINT)
        time.sleep(0.05)
    with (tmp_path / "book").open("a") as stream:
        stream.write("all sent\n")
    assert ended(process) == (130, "")


def test_a_driver_that_does_not_react_is_ended_after_a_while(tmp_path: Path) -> None:
    process = start(tmp_path, STUCK, "supervisor.HEARD_SECONDS = 0.2")
    driver = wait_for_driver(tmp_path, process)
    child = child_of_the_driver(tmp_path)
    process.send_signal(signal.SIGINT)
    assert_ended_by_its_parent(tmp_path, process, driver, child)


def test_a_driver_that_acknowledges_signals_may_take_many(tmp_path: Path) -> None:
    heard = "def heard(number, frame):\n    write('heard')\n    parent.heard()\nsignal.signal(signal.SIGINT, heard)"
    wait = "write('ready')\nwhile book.read_text().count('heard') < 5:\n    time.sleep(0.02)\nreturn 130"
    process = start(tmp_path, f"{heard}\n{BEGIN}\n{wait}")
    wait_for_driver(tmp_path, process)
    for count in range(5):
        while book(tmp_path).count("heard") < count:
            assert process.poll() is None, process.communicate()
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
    assert ended(process) == (130, "")


THREAD = "import threading\nthreading.Thread(target=time.sleep, args=(1000,), daemon=True).start()\nwrite('script')"
"""What a script may do before it runs a sweep: begin a thread, which a fork would not have."""


def test_where_a_fork_would_lack_threads_the_script_is_run_again(tmp_path: Path) -> None:
    driver = (
        f"{BEGIN}\n"
        "write('told', *[name for name in os.environ if name.startswith('LEADLINE')])\n"
        "if len(arguments) > 2: return 0\nos.kill(os.getpid(), 9)"
    )
    code, err = ended(start(tmp_path, driver, THREAD))
    assert (code, err) == (0, f"driver ended by SIGKILL; started again by replay (1 of {RESTARTS})\n")
    assert book(tmp_path) == [
        "script",
        "script",
        "driver --trials 3",
        "told",
        "script",
        "driver --resume a --storage here",
        "told",
    ]
    assert not list(tmp_path.glob("leadline-*"))


def test_a_driver_that_ran_the_script_again_is_in_a_session_of_its_own_and_takes_signals(tmp_path: Path) -> None:
    process = start(tmp_path, WAITING, THREAD)
    driver = wait_for_driver(tmp_path, process)
    assert os.getsid(driver.pid) == driver.pid
    os.killpg(process.pid, signal.SIGINT)
    assert ended(process) == (130, "")
    assert book(tmp_path)[-2:] == ["ready", f"signal {signal.SIGINT.value}"]


def test_where_running_the_script_again_would_not_come_to_the_call_it_is_forked_all_the_same(tmp_path: Path) -> None:
    elsewhere = "sys.exit(supervisor.supervise(drive, ['--other']))"
    module = "dict(__name__='caller', supervisor=supervisor, drive=drive, sys=sys)"
    setup = f'{THREAD}\nexec("{elsewhere}", {module})'
    assert ended(start(tmp_path, "return 0", setup)) == (0, "")
    assert book(tmp_path) == ["script", "driver --other"]


def test_a_module_that_is_not_found_from_the_present_folder_is_not_run_again(tmp_path: Path) -> None:
    """By `python -m`, which looks in the working directory."""
    setup = f"{THREAD}\n(Path(sys.argv[1]).parent / 'elsewhere').mkdir()\nos.chdir('elsewhere')"
    (tmp_path / "study.py").write_text(DRIVER.format(body="return 0", setup=setup))
    words = ["-m", "study", str(tmp_path / "book"), str(ROOT / "leadline" / "engine"), str(ROOT)]
    run = subprocess.run([sys.executable, *words], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (run.returncode, run.stderr) == (0, "")
    assert book(tmp_path) == ["script", "driver --trials 3"]


def test_a_driver_and_a_script_whose_output_nobody_reads_end_as_they_would(tmp_path: Path) -> None:
    buffered = "sys.stdout = open(1, 'w', closefd=False)"  # whatever PYTHONUNBUFFERED says
    process = start(tmp_path, "print('of the driver')\nreturn 0", f"{buffered}\nprint('of the script')")
    assert process.stdout
    process.stdout.close()
    process.stdout = None
    assert ended(process) == (0, "")
