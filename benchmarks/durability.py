"""What durability costs: the ledger's rate, a resume, a share of a trial's time, memory.

    python -m benchmarks.durability [throughput | replay | share | memory] ...

takes about seven minutes; each part can be run alone.

throughput  reports of a Collatz trial, 16 at a time as from 16 trials, each batch confirmed before
            the next; then one at a time, for the median latency of a confirmed event. On the disk
            of temporary files, whose file system is named, and on moto's S3 server where that is
            installed. `throughput=URI` takes another place, such as
            `s3://bucket/folder?endpoint_override=...`.
replay      what `--resume` does before it starts Ray, in wall time: the command line read, the
            ledger read, checked and folded, searcher and rungs included, the lease taken, the
            driver made. The sweep had 2,000 trials of 50 such reports when it was killed; each
            resume is a process of its own, forked like any driver. Python's start, the imports,
            Ray's start and the first event that the driver writes are left out; so is what a longer
            budget would add.
share       the lookahead study on the laptop's network with a report after about each second of
            training, two trials at a time: saving checkpoints and log, waiting for decisions, and
            places that stand idle until the ledger has a trial's end or the next one's start, for
            each second of training. Evaluation is not counted as durability, nor is what else
            happens between two trials of a process (the last report's way to the driver, Tune, the
            proposal, building the model); that is printed beside it.
memory      resident memory of the driver's process, without Ray's and the trials', over 2,000
            trials of one report, two at a time. A driver hands over to another after 400 attempts,
            so that this is over several drivers: the largest of any of them, from trial 200 to the
            last report, against that at trial 200.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from benchmarks._common import TIMES, Result, machine, row, verdicts
from benchmarks.engine import ROOT, call
from leadline.engine.director import Assignment, Director
from leadline.engine.driver import Driver
from leadline.engine.run import drive
from leadline.engine.search import Space
from leadline.engine.supervisor import DONE, Parent, supervise
from leadline.ledger import reader
from leadline.ledger.events import Event, Opened, Reported
from leadline.ledger.segments import Ledger, read
from leadline.ledger.settings import Settings
from leadline.measure import Report
from leadline.storage import Folder
from sweeps.lookahead import FIELDS, STUDY

BATCH = 16  # events that are confirmed together
LAYERS = "64,64"
"""The middle one of the networks that the study searches at the laptop's size."""


@functools.cache
def recorded_report(steps: int = 40) -> Report:
    """Returns the last report of a short Collatz trial."""
    from leadline.training.loop import Loop
    from trainables.collatz.family import COLLATZ

    config = COLLATZ.config({**FIELDS, "layers": LAYERS, "lookahead": 100, "steps": steps, "eval_every": steps // 2})
    return list(Loop(COLLATZ, config, COLLATZ.build_data(config)).run())[-1]


def _event(report: Report, step: int) -> Event:
    """Returns the ledger's event of a report at a step."""
    moved = dataclasses.replace(report, step=step, samples=256 * step)
    return Reported(trial=0, report=moved, action="continue", reason="", time=time.time())


def throughput(uri: str | None = None, batches: int = 300, singles: int = 200) -> list[Result]:
    """Measures events per second into a ledger, on local disk and S3 or at `uri`.

    The first place is measured against the target.
    """
    report = recorded_report()
    found = []
    with contextlib.ExitStack() as stack:
        for where, folder in [("there", Folder.at(uri) / f"{time.time_ns()}")] if uri else _places(stack):
            where += f" ({_file_system(folder)})" if folder.local else ""
            events, latencies = _rate(
                folder,
                report,
                batches if folder.local else max(1, batches // 4),
                singles if folder.local else max(1, singles // 4),
            )
            size = len(json.dumps(_event(report, 1).to_dict()))
            print(f"{where}: {events:,.0f} events of {size:,} bytes a second, {BATCH} at a time")
            print(row("    one event, confirmed", [1e3 * latency for latency in latencies], "ms"))
            found.append(
                Result(f"events a second into the ledger, {where}", events, ">= 1000" if folder.local else "none")
            )
    return found


def _places(stack: contextlib.ExitStack) -> Iterator[tuple[str, Folder]]:
    """Yields the places to write to, each with its name: the disk, and S3 if moto is installed."""
    yield "on disk", Folder.at(stack.enter_context(tempfile.TemporaryDirectory(prefix="ll-")))
    if options := stack.enter_context(_s3()):
        yield "on S3 (moto)", Folder.at(f"s3://bucket/ledger?{options}")


def _file_system(folder: Folder) -> str:
    """Returns the name of the file system that a local folder is on."""
    mounts = [part for part in psutil.disk_partitions(all=True) if Path(folder.path).is_relative_to(part.mountpoint)]
    return max(reversed(mounts), key=lambda part: len(part.mountpoint)).fstype if mounts else "of unknown kind"


@contextlib.contextmanager
def _s3() -> Iterator[str]:
    """Starts moto's server and yields the options of a URI on it; empty if it does not start."""
    port = 19471
    os.environ |= {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret"}
    command = [sys.executable, "-m", "moto.server", "-p", str(port)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as server:
        options = f"scheme=http&endpoint_override=127.0.0.1:{port}&region=us-east-1&allow_bucket_creation=true"
        try:
            while server.poll() is None:
                with contextlib.suppress(OSError):
                    Folder.at(f"s3://bucket?{options}").files.create_dir("bucket")
                    break
            yield options if server.poll() is None else ""
        finally:
            server.terminate()


def _rate(folder: Folder, report: Report, batches: int, singles: int) -> tuple[float, list[float]]:
    """Returns the events per second in batches, and the seconds of single ones."""
    ledger = Ledger(folder)
    began = time.perf_counter()
    for batch in range(batches):
        for number in range(BATCH):
            ledger.append(_event(report, batch * BATCH + number))
        ledger.commit()
    rate = batches * BATCH / (time.perf_counter() - began)
    latencies = []
    for number in range(singles):
        began = time.perf_counter()
        ledger.append(_event(report, number))
        ledger.commit()
        latencies.append(time.perf_counter() - began)
    ledger.close()
    return rate, latencies


def _settings(trials: int, reports: int) -> Settings:
    """Returns the settings of a lookahead sweep with so many trials of so many reports."""
    return Settings(
        study="lookahead",
        family="collatz",
        metric="hinge",
        mode="min",
        sampler="tpe",
        scale="laptop",
        stratify="lookahead",
        strata=(10, 20, 50, 100),
        trials=trials,
        budget=400 * reports,
        grace=400,
        reduction=3,
        startup=trials,
        seed=0,
        confirm=0,
        replicates=1,
        fields=dict(FIELDS),
        overrides={},
        concurrent=2,
    )


def _sweep(settings: Settings, report: Report, space: Space) -> Iterator[Event]:
    """Yields the events of a sweep whose trials all tie, so that no rung stops one."""
    events: list[Event] = []
    director = Director(settings, space, events.append)
    director.opened({})
    steps: Counter[int] = Counter()
    while True:
        while len(director.running()) < (settings.concurrent or 1) and isinstance(found := director.next(), Assignment):
            director.started(found.trial, found.attempt)
        if not director.running():
            break
        for trial in director.running():
            steps[trial.number] += settings.grace
            step = steps[trial.number]
            director.reported(trial.number, dataclasses.replace(report, step=step, samples=256 * step))
        yield from events
        events.clear()


def replay(trials: int = 2000, reports: int = 50, rounds: int = 3) -> list[Result]:
    """Measures the wall time from a resume's command line to the driver that would start Ray."""
    with tempfile.TemporaryDirectory(prefix="ll-") as place:
        folder = Folder.at(place) / "sweep" / "ledger"
        count = record(folder, _settings(trials, reports), recorded_report(), STUDY.space)
        files, size = len(folder.sizes()), sum(folder.sizes().values())
        with ProcessPoolExecutor(1, get_context("spawn")) as fresh:
            times = fresh.submit(_resumes, place, "sweep", rounds).result()
    sizes = f"{count:,} events of {trials:,} trials, {size / 1e6:.0f} MB in {files} files"
    print(f"{sizes}; wall time of {rounds} resumes, min, median, max")
    print(row("    from the command line to the driver, without Ray", [time["whole"] for time in times], "s"))
    for what, name in (("reading", "read"), ("folding, with searcher and rungs,", "fold")):
        print(row(f"      {what} {times[0][f'{name}s']}x", [time[name] for time in times], "s"))
    whole = statistics.median(time["whole"] for time in times)
    return [Result(f"resume of {count:,} events up to Ray's start, seconds of wall time", whole, "<= 5")]


def record(folder: Folder, settings: Settings, report: Report, space: Space) -> int:
    """Writes the events of `_sweep` into a ledger; returns how many there are."""
    ledger = Ledger(folder)
    position = 0
    for event in _sweep(settings, report, space):
        position = ledger.append(event)
        if position % BATCH == 0:
            ledger.commit()
    ledger.close()
    return position


def _resumes(place: str, name: str, rounds: int) -> list[dict[str, float]]:
    """Resumes a sweep in drivers that end where they would start Ray, and returns what each spent.

    It is for a process that has done nothing yet.
    """
    found = []
    for number in range(rounds):
        told = Path(place) / f"times-{number}.json"
        code = supervise(functools.partial(_resumed, told), ["--resume", name, "--storage", place, "--concurrent", "2"])
        if code != DONE or not told.exists():
            raise RuntimeError(f"the resume ended with {code}, before it came to Ray")
        found.append(json.loads(told.read_text()))
    return found


def _resumed(told: Path, arguments: Sequence[str], parent: Parent) -> int:
    """Drives a resume up to where it would start Ray, and writes what it spent to `told`."""
    spent: Counter[str] = Counter()
    for owner, method, word in ((reader, "steady", "read"), (Director, "replay", "fold")):
        setattr(owner, method, _counted(getattr(owner, method), word, spent))
    began = time.perf_counter()

    def go(driver: Driver) -> int:
        told.write_text(json.dumps({**spent, "whole": time.perf_counter() - began}))
        driver.ledger.close()
        return DONE

    setattr(Driver, "go", go)  # noqa: B010  # in this process, which is the driver's and ends with it
    return drive(STUDY, "", arguments, parent)


def _counted(action: Callable[..., Any], word: str, spent: Counter[str]) -> Callable[..., Any]:
    """Returns the action with its seconds and calls added to `spent`, under the word."""

    def run(*arguments: Any) -> Any:
        began = time.perf_counter()
        found = action(*arguments)
        spent.update({word: time.perf_counter() - began, f"{word}s": 1})
        return found

    return run


def share(trials: int = 8, reports: int = 9, seconds: float = 1.0) -> list[Result]:
    """Measures saving, waiting and places held for the ledger, for each second of training."""
    interval = max(1, round(seconds * 400 / recorded_report(400).seconds))
    with tempfile.TemporaryDirectory(prefix="ll-") as place, tempfile.TemporaryDirectory(prefix="ll-") as times:
        os.environ[TIMES] = times
        sizes = [
            "--trials",
            str(trials),
            "--grace",
            str(interval),
            "--steps",
            str(reports * interval),
            "--confirm",
            "0",
        ]
        fixed = ["lookahead=100", f"layers={LAYERS}"]
        _, _, said = call(
            "benchmarks._timed_sweep", "--storage", place, "--name", "timed", "--concurrent", "2", *sizes, *fixed
        )
        lines, held = _told(Path(times), "process-*.jsonl"), _told(Path(times), "placement.jsonl")
    spent: defaultdict[str, float] = defaultdict(float)
    for name, passed in [pair for line in [*lines, *held] for pair in line.items()]:
        spent[name] += passed
    count = len(lines)
    # A process's first trial has none before it.
    spent["between"] *= trials / max(1, sum("between" in line for line in lines))
    columns = "ms for each report, and for each second of its training"
    print(f"{count} reports of {trials} trials, one each {interval} steps; {columns}")
    for name, text in SHARES.items():
        print(f"    {text:<92}{1e3 * spent[name] / count:10.1f}{1e3 * spent[name] / spent['training']:10.1f}")
    print("\n".join(f"    the sweep says: {line}" for line in said.splitlines() if line.startswith("per trial")))
    # What is paid for a report does not depend on how long it took to train, so it is divided by
    # `seconds`, also if the training took another time.
    durable = sum(spent[name] for name in ("saving", "waiting", "start", "end")) / count / seconds
    every = sum(spent[name] for name in ("saving", "waiting", "between")) / count / seconds
    print(f"    with all that is between two trials of a process: {every:.2%} of {seconds:g} s of training")
    return [
        Result(
            f"saving, waiting and places held for the ledger, of {seconds:g} s of training for each report",
            durable,
            "<= 0.03",
        )
    ]


SHARES = {
    "training": "training",
    "evaluating": "evaluating",
    "saving": "saving checkpoint and log, and looking for a checkpoint at a trial's start",
    "waiting": "waiting for the decision that a trial goes on, its way there and back included",
    "end": "held: a place whose trial ends, until the ledger has that and Tune looks",
    "start": "held: a place whose next trial starts, until the ledger has that and Tune looks",
    "between": "all from a trial's last report to its process's next first step, mostly with the two above",
}


def _told(folder: Path, pattern: str) -> list[dict[str, float]]:
    """Reads the lines of JSON in a folder's files."""
    return [json.loads(line) for path in folder.glob(pattern) for line in path.read_text().splitlines()]


def memory(trials: int = 2000, early: int = 200, pause: float = 0.01) -> list[Result]:
    """Measures a driver's largest memory from trial `early` on, as a multiple of that then."""
    with tempfile.TemporaryDirectory(prefix="ll-") as place:
        command = [
            sys.executable,
            "-m",
            "benchmarks._sleep_sweep",
            "--storage",
            place,
            "--name",
            "sleep",
            "--concurrent",
            "2",
        ]
        sizes = ["--trials", str(trials), "--steps", "1", "--grace", "1", f"pause={pause}"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        with subprocess.Popen(
            [*command, *sizes], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as sweep:
            samples = list(_resident(sweep))
        events = read(Folder.at(place) / "sleep" / "ledger")
    ends = [event.time for event in events if isinstance(event, Reported)]
    if len(ends) != trials:
        raise RuntimeError(f"{len(ends)} of {trials} trials ran to their end")
    drivers = [event.manifest["pid"] for event in events if isinstance(event, Opened)]
    training = [sample for sample in samples if sample.process in drivers and sample.moment <= ends[-1]]
    by = f"by {len(drivers)} drivers in turn, of {_attempts()} attempts at most"
    print(f"{trials} trials in {ends[-1] - ends[0]:.0f} s, {by}")
    print(
        "    resident memory of the driver's process alone, with the pages that it shares with its parent, "
        "until the last report:"
    )
    for number, driver in enumerate(drivers, 1):
        sizes_of = [sample.size for sample in training if sample.process == driver]
        print(
            f"    driver {number}: {sizes_of[-1] / 2**20:.0f} MiB at its end, at most {max(sizes_of) / 2**20:.0f} MiB"
        )
    first = [sample.size for sample in training if sample.moment <= ends[early - 1]][-1]
    largest = max([first, *(sample.size for sample in training if sample.moment > ends[early - 1])])
    print(f"    trial {early}: {first / 2**20:.0f} MiB; the most from there on: {largest / 2**20:.0f} MiB")
    return [
        Result(
            f"resident memory of a driver over {len(drivers)}, the most from trial {early} on / trial {early}",
            largest / first,
            "<= 1.1",
        )
    ]


class Sample(NamedTuple):
    """A process's resident bytes at a moment, in seconds since the epoch."""

    moment: float
    process: int
    size: int


def _attempts() -> int:
    """Returns how many attempts a driver places."""
    from leadline.engine.ray.placement import ATTEMPTS

    return ATTEMPTS


def _resident(sweep: subprocess.Popen[bytes]) -> Iterator[Sample]:
    """Samples the resident memory of the current driver, which is a child of the command."""
    while sweep.poll() is None:
        time.sleep(0.1)
        with contextlib.suppress(psutil.Error):
            for child in psutil.Process(sweep.pid).children():
                yield Sample(time.time(), child.pid, child.memory_info().rss)


PARTS: dict[str, Callable[..., list[Result]]] = {
    "throughput": throughput,
    "replay": replay,
    "share": share,
    "memory": memory,
}


def main(names: Sequence[str] = ()) -> list[Result]:
    """Measures and prints; the module's docstring says what.

    Args:
        names: the parts, each with an argument after `=` if it takes one; all by default.
    """
    print(machine())
    results: list[Result] = []
    for name, _, given in [word.partition("=") for word in names or PARTS]:
        print(f"\n{name}")
        results += PARTS[name](*([given] if given else []))
    return verdicts(results)


if __name__ == "__main__":
    main(sys.argv[1:])
