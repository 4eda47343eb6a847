"""What durability costs: the ledger's rate, a replay, the share of a trial's time, and the driver's memory.

    python -m benchmarks.durability [throughput | replay | share | memory] ...

takes about eight minutes; each part can be run alone.

throughput  reports of a Collatz trial, 16 at a time as from 16 trials, each batch confirmed before the next; then one at a time, for the
            median latency of a confirmed event. On local disk, and on moto's S3 server where that is installed. `throughput=URI`
            takes another place, such as `s3://bucket/folder?endpoint_override=...`.
replay      what `--resume` reads and folds before it starts Ray: 2,000 trials with 50 such reports, searcher and rungs included.
share       the lookahead study on the laptop's network with a report about each second, two trials at a time: how much of a
            trial's time goes into saving checkpoints and waiting for decisions. Evaluation is not counted as durability.
memory      resident memory of the driver over 2,000 trials of one report, two at a time.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import psutil

from benchmarks._common import TIMES, Result, machine, row, verdict
from benchmarks.engine import ROOT, call
from sweeps.engine.director import Assignment, Director
from sweeps.engine.study import Settings
from sweeps.ledger.segments import Event, Ledger, read
from sweeps.lookahead import FIELDS, STUDY
from trainables.measure import Report
from trainables.storage import Folder

BATCH = 16
LAYERS = "64,64"
"""The middle one of the networks that the study searches at the laptop's size."""


@functools.cache
def recorded_report(steps: int = 40) -> Report:
    """The last report of a short Collatz trial."""
    from trainables.collatz.family import COLLATZ
    from trainables.config import make
    from trainables.loop import Loop

    config = make(COLLATZ.Config, {**FIELDS, "layers": LAYERS, "lookahead": 100, "steps": steps, "eval_every": steps // 2}, "collatz")
    return list(Loop(COLLATZ, config, COLLATZ.build_data(config)).run())[-1]


def _event(report: Report, step: int) -> Event:
    moved = dataclasses.replace(report, step=step, samples=256 * step)
    return {"type": "reported", "trial": 0, "report": moved.to_dict(), "action": "continue", "reason": "", "time": time.time()}


def throughput(uri: str | None = None, batches: int = 300, singles: int = 200) -> list[Result]:
    """Events per second into a ledger, on local disk and S3 or at `uri`; the first place is measured against the target."""
    report = recorded_report()
    found = []
    with contextlib.ExitStack() as stack:
        for where, folder in [("there", Folder.at(uri) / f"{time.time_ns()}")] if uri else _places(stack):
            events, latencies = _rate(folder, report, batches if folder.local else batches // 4, singles if folder.local else singles // 4)
            size = len(json.dumps(_event(report, 1)))
            print(f"{where}: {events:,.0f} events of {size:,} bytes a second, {BATCH} at a time")
            print(row("    one event, confirmed", [1e3 * latency for latency in latencies], "ms"))
            found.append(Result(f"events a second into the ledger, {where}", events, ">= 1000" if folder.local else "none"))
    return found


def _places(stack: contextlib.ExitStack) -> Iterator[tuple[str, Folder]]:
    yield "on local disk", Folder.at(stack.enter_context(tempfile.TemporaryDirectory(prefix="ll-")))
    if options := stack.enter_context(_s3()):
        yield "on S3 (moto)", Folder.at(f"s3://bucket/ledger?{options}")


@contextlib.contextmanager
def _s3() -> Iterator[str]:
    """Options of a URI on moto's server; empty where that does not start."""
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
    """Events per second in batches, and the seconds of single ones."""
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
    return Settings(
        study="lookahead", family="collatz", metric="hinge", mode="min", sampler="tpe", scale="laptop", stratify="lookahead",
        strata=(10, 20, 50, 100), trials=trials, steps=400 * reports, grace=400, reduction=3, startup=trials, seed=0, confirm=0,
        replicates=1, fields=dict(FIELDS), overrides={}, concurrent=2,
    )  # fmt: skip


def _sweep(settings: Settings, report: Report) -> Iterator[Event]:
    """The events of a sweep whose trials all tie, so that no rung stops one."""
    events: list[Event] = []
    director = Director(settings, STUDY.space, events.append)
    director.opened({})
    steps: Counter[int] = Counter()
    while True:
        while len(director.running()) < settings.concurrent and isinstance(found := director.next(), Assignment):
            director.started(found.trial, found.attempt)
        if not director.running():
            break
        for trial in director.running():
            steps[trial.number] += settings.grace
            step = steps[trial.number]
            director.reported(trial.number, dataclasses.replace(report, step=step, samples=256 * step))
        yield from events
        events.clear()


def replay(trials: int = 2000, reports: int = 50) -> list[Result]:
    """Seconds to read and fold a ledger."""
    settings = _settings(trials, reports)
    with tempfile.TemporaryDirectory(prefix="ll-") as place:
        folder = Folder.at(place) / "ledger"
        ledger = Ledger(folder)
        for number, event in enumerate(_sweep(settings, recorded_report())):
            ledger.append(event)
            if number % BATCH == 0:
                ledger.commit()
        ledger.close()
        files, size = len(folder.sizes()), sum(folder.sizes().values())
        moments, spent = [time.perf_counter()], [time.process_time()]
        events = read(folder)
        moments.append(time.perf_counter())
        Director(settings, STUDY.space).replay(events)
        moments.append(time.perf_counter())
        spent.append(time.process_time())
    print(f"{len(events):,} events of {trials:,} trials, {size / 1e6:.0f} MB in {files} files")
    for name, first, last in (("read", 0, 1), ("fold, with searcher and rungs", 1, 2), ("both", 0, 2)):
        print(row(f"    {name}", [moments[last] - moments[first]], "s"))
    print(row("    of a processor", [spent[1] - spent[0]], "s"))
    return [Result(f"replay of {len(events):,} events, seconds of a processor", spent[1] - spent[0], "<= 5")]


def share(trials: int = 6, reports: int = 9, seconds: float = 1.0) -> list[Result]:
    """The share of saving and waiting in the trials' time."""
    interval = max(1, round(seconds * 400 / recorded_report(400).seconds))
    with tempfile.TemporaryDirectory(prefix="ll-") as place, tempfile.TemporaryDirectory(prefix="ll-") as times:
        os.environ[TIMES] = times
        sizes = ["--trials", str(trials), "--grace", str(interval), "--steps", str(reports * interval), "--confirm", "0"]
        fixed = ["lookahead=100", f"layers={LAYERS}"]
        _, _, said = call("benchmarks._timed_sweep", "--storage", place, "--name", "timed", "--concurrent", "2", *sizes, *fixed)
        lines = [json.loads(line) for path in Path(times).iterdir() for line in path.read_text().splitlines()]
    spent: Counter[str] = sum(map(Counter, lines), Counter())
    whole = sum(spent.values())
    print(f"{len(lines)} reports, one each {interval} steps, {whole / len(lines):.2f} s of a trial")
    for name in ("training", "evaluating", "saving", "waiting"):
        print(f"    {name:<12}{1e3 * spent[name] / len(lines):10.1f} ms{spent[name] / whole:10.2%}")
    print("\n".join(f"    the sweep says: {line}" for line in said.splitlines() if line.startswith("per trial")))
    durable = (spent["saving"] + spent["waiting"]) / len(lines)
    return [Result("saving and waiting for decisions, share of a trial's time with a report each second", durable / seconds, "<= 0.03")]


def memory(trials: int = 2000, early: int = 200, pause: float = 0.01) -> list[Result]:
    """The driver's resident memory at the last trial, as a multiple of that at trial `early`."""
    with tempfile.TemporaryDirectory(prefix="ll-") as place:
        command = [sys.executable, "-m", "benchmarks._sleep_sweep", "--storage", place, "--name", "sleep", "--concurrent", "2"]
        sizes = ["--trials", str(trials), "--steps", "1", "--grace", "1", f"pause={pause}"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        with subprocess.Popen([*command, *sizes], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as sweep:
            samples = list(_resident(sweep, Folder.at(place) / "sleep" / "ledger"))
        events = read(Folder.at(place) / "sleep" / "ledger")
    ends = [event["time"] for event in events if event["type"] == "reported"]
    if len(ends) != trials:
        raise RuntimeError(f"{len(ends)} of {trials} trials ran to their end")
    at = {count: next(size for moment, size in samples if moment >= ends[count - 1]) for count in _counts(early, trials)}
    print(
        f"{trials} trials in {ends[-1] - ends[0]:.0f} s; the driver was opened {sum(event['type'] == 'opened' for event in events)} times"
    )
    print("    " + ", ".join(f"trial {count}: {size / 2**20:.0f} MiB" for count, size in at.items()))
    last = max(at)
    print(f"    {(at[last] - at[early]) / (last - early) / 1024:.1f} KiB a trial")
    return [Result(f"resident memory of the driver, trial {last} / trial {early}", at[last] / at[early], "<= 1.1")]


def _counts(early: int, trials: int) -> list[int]:
    return [early, *(trials * part // 4 for part in (1, 2, 3)), trials - trials // 100]


def _resident(sweep: subprocess.Popen[bytes], ledger: Folder) -> Iterator[tuple[float, int]]:
    """Time and bytes of the driver, as long as the sweep runs; which process that is stands in the ledger."""
    driver: psutil.Process | None = None
    while sweep.poll() is None:
        time.sleep(0.2)
        try:
            if driver is None:
                opened = [event for event in read(ledger) if event["type"] == "opened"]
                driver = psutil.Process(opened[-1]["manifest"]["pid"])
            yield time.time(), driver.memory_info().rss
        except (psutil.Error, RuntimeError, OSError, IndexError):
            driver = None


PARTS: dict[str, Callable[..., list[Result]]] = {"throughput": throughput, "replay": replay, "share": share, "memory": memory}


def main(names: Sequence[str] = ()) -> list[Result]:
    """Measures and prints; see the module's text.

    Args:
        names: of the parts, each with an argument after `=` if it takes one; all by default.
    """
    print(machine())
    results: list[Result] = []
    for name, _, given in [word.partition("=") for word in names or PARTS]:
        print(f"\n{name}")
        results += PARTS[name](*([given] if given else []))
    print()
    for result in results:
        print(verdict(result))
    return results


if __name__ == "__main__":
    main(sys.argv[1:])
