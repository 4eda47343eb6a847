"""What one event costs, and how that grows with a sweep: the figures behind docs/scale.md.

    python -m benchmarks.scale [PART] ...

takes four minutes on an idle machine; each part can be run alone. Times are CPU time of this
process, medians, unless said otherwise. The parts are

requests    to S3, counted by moto's server: of a trial's start, of a report with its checkpoint and
            log, of what is removed, of a segment of the ledger and of its compaction. Dollars are
            those of `PRICES`.
ledger      bytes of events; segments and requests a second at a given rate of events; CPU of a
            report from the director to the store.
searcher    TPE's proposal after so many told trials of one stratum, and what telling and replaying
            a trial costs.
replay      the fold of recorded events, and the memory that it leaves, of sweeps of several sizes,
            each in a process of its own; reading them. Events are made up: proposals of the
            lookahead study, Collatz reports with random values, so that rungs and leaderboard have
            work.
scans       what looks at all trials: per proposal, per second, per round of the dashboard's views,
            at the end of the search.
waves       the share of places that train while each driver places a fixed number of attempts and
            waits for the last of them, on paper: trials of 20 reports of which one in three goes on
            at 1, 3 and 9 (lengths drawn from a fixed seed), and trials that all go on.
head        CPU of a driver under Ray Tune, for each report and each trial: sweeps of the sleeping
            family, two at a time.
"""

from __future__ import annotations

import contextlib
import dataclasses
import heapq
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import psutil
from pydantic_core import from_json
from rich.console import Console

from benchmarks._common import Result, machine, verdicts
from benchmarks.durability import BATCH, _event, _places, _settings, recorded_report
from benchmarks.engine import ROOT
from leadline.engine.director import Assignment, Director
from leadline.engine.display import Display
from leadline.engine.driver import Driver
from leadline.engine.retention import Retention
from leadline.engine.search import Search
from leadline.ledger import leaderboard, tensorboard
from leadline.ledger.events import Action, Event, Proposed, Reported, Started, parse
from leadline.ledger.format import Span
from leadline.ledger.history import History
from leadline.ledger.layout import trial_folder
from leadline.ledger.leaderboard_text import Board
from leadline.ledger.reader import scan
from leadline.ledger.segments import Ledger
from leadline.ledger.settings import Settings
from leadline.measure import Report
from leadline.storage import Folder
from sweeps.lookahead import STUDY

PRICES = {"PUT": 0.005, "GET": 0.0004}
"""The US dollars for 1,000 requests to S3 Standard in us-east-1.

PUT stands for PUT, COPY, POST and LIST; GET for GET, HEAD and others. DELETE is free.
"""
REPORTS, EACH = 20, 400
"""The number of reports of a trial, and the steps of each."""
ASKED = 5
"""The number of proposals of which the median is told."""
TEMPLATES = 64
"""The number of different proposals in a made-up sweep."""

Found = dict[str, float]


def _median(action: Callable[[], Any], times: int = 3) -> float:
    """Returns the median CPU milliseconds of an action."""
    spent = []
    for _ in range(times):
        began = time.process_time()
        action()
        spent.append(1e3 * (time.process_time() - began))
    return statistics.median(spent)


def _say(what: str, *values: float, unit: str) -> None:
    """Prints one line of the report."""
    print(f"    {what:<84}{''.join(f'{value:>12,.4g}' for value in values)} {unit}", flush=True)


@contextlib.contextmanager
def _server() -> Iterator[Any]:
    """Starts moto's S3 server."""
    from tests.conftest import S3Server

    os.environ |= {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret"}
    with tempfile.TemporaryDirectory(prefix="ll-") as place:
        server = S3Server(Path(place) / "log")
        try:
            yield server
        finally:
            server.kill()


class _Bill:
    """Counts requests since they were last asked for, by what they cost."""

    def __init__(self, server: Any) -> None:
        self._server = server
        self._seen = len(server.requests())

    def since(self) -> Counter[str]:
        """Returns the requests since the last call, counted by class."""
        new = self._server.requests()[self._seen :]
        self._seen += len(new)
        return Counter(_class(request) for request in new)


def _class(request: str) -> str:
    """Returns the class by which a request is paid: PUT, GET or DELETE."""
    method = request.partition(" ")[0]
    if method in ("PUT", "POST") or "list-type" in request:
        return "PUT"
    return "DELETE" if method == "DELETE" else "GET"


def _dollars(counts: Counter[str]) -> float:
    """Returns the dollars of a million times these requests."""
    return 1000 * sum(price * counts[name] for name, price in PRICES.items())


def requests() -> Found:
    """Counts the requests of a real trial of the Collatz family, and of the ledger, on moto."""
    bills: dict[str, Counter[str]] = {}
    with _server() as server:
        folder, bill = server.at("sweep"), _Bill(server)
        reports = _trial(folder, bill, bills)
        ledger = Ledger(folder / "ledger", compact=2**30)
        bill.since()
        for _ in range(8):
            ledger.append(_event(recorded_report(), 1))
            ledger.commit()
        bills["segment"] = _each(bill.since(), 8)
        ledger.close()
        ledger = Ledger(folder / "other", compact=32)
        for _ in range(33):
            ledger.append(_event(recorded_report(), 1))
            ledger.commit()
        ledger.close()
        bills["compaction, for each segment"] = _each(bill.since(), 33) - bills["segment"]
    print(f"{reports} reports; PUT, POST and LIST; GET and HEAD; DELETE; dollars a million times")
    for name, counts in bills.items():
        _say(name, counts["PUT"], counts["GET"], counts["DELETE"], _dollars(counts), unit="USD")
    return {f"{name} {kind}": counts[kind] for name, counts in bills.items() for kind in ("PUT", "GET")}


def _each(counts: Counter[str], number: int) -> Counter[str]:
    """Returns the counts divided by a number."""
    return Counter({name: count / number for name, count in counts.items()})


def _trial(folder: Folder, bill: _Bill, bills: dict[str, Counter[str]]) -> int:
    """Runs a trial from its start to what its end removes, without the ledger.

    It returns how many reports the trial made.
    """
    from leadline.checkpoint import CheckpointStore
    from leadline.training.loop import Loop

    settings = dataclasses.replace(_settings(4, REPORTS), budget=240, grace=40)
    director = Director(settings, STUDY.space)
    director.opened({})
    found = director.next()
    assert isinstance(found, Assignment)
    director.started(found.trial, found.attempt)
    family = settings.model_family()
    config, place = family.config(found.config), folder / trial_folder(found.trial)
    data, lines = family.build_data(config), [""]

    def log(line: str) -> None:
        lines.append(line)
        place.write("attempt-01/log.txt", "".join(lines).encode())

    log("trial 0 attempt 1")
    loop = Loop(family, config, data, store=CheckpointStore(place), metric=settings.metric, log=log)
    each = []
    for report in loop.run():
        director.reported(found.trial, report)
        each.append(bill.since())
    bills["start, first report and checkpoint"], bills["report and checkpoint, later"] = each[0], each[-2]
    retention = Retention(director, folder)
    retention.ended(found.trial)
    retention.close(60)
    bills["end"] = bill.since()
    return len(each)


def ledger(seconds: float = 4.0) -> Found:
    """Measures bytes, segments and CPU of events."""
    report = recorded_report()
    found = Found()
    events = list(_events(TEMPLATES, [EACH]))
    sizes = {
        kind: statistics.median(len(json.dumps(event.to_dict())) for event in events if event.type == kind)
        for kind in _kinds(events)
    }
    retired = 700  # bytes of the event `retired`, about
    found["bytes of a trial"] = sizes["proposed"] + sizes["started"] + REPORTS * sizes["reported"] + retired
    for kind in ("proposed", "started", "reported"):
        _say(f"bytes of an event: {kind}", sizes[kind], unit="bytes")
    with _server() as server:
        for rate in (17, 100, 500):
            segments, requested = _paced(server, rate, seconds, report)
            _say(
                f"{rate} events a second (S3): segments, requests a second",
                segments / seconds,
                requested / seconds,
                unit="",
            )
            found[f"segments at {rate}"] = segments / seconds
    with contextlib.ExitStack() as stack:
        for where, folder in _places(stack):
            spent = _reporting(folder, 100 * BATCH)
            _say(f"a report, judged and stored {BATCH} at a time, {where}: CPU", spent, unit="ms")
            found[f"report {where}"] = spent
    return found


def _kinds(events: Sequence[Event]) -> list[str]:
    """Returns the types of events, in the order in which they first occur."""
    return list(dict.fromkeys(event.type for event in events))


def _paced(server: Any, rate: int, seconds: float, report: Any) -> tuple[int, int]:
    """Appends events at a rate; returns how many segments and requests that took."""
    folder = server.at(f"paced-{rate}")
    book, before = Ledger(folder, compact=2**30), len(server.requests())
    began = time.monotonic()
    for number in range(round(rate * seconds)):
        time.sleep(max(0.0, began + number / rate - time.monotonic()))
        book.append(_event(report, number))
    book.commit()
    asked = len(server.requests()) - before
    book.close()
    return max(span.last for span in map(Span.of, folder.sizes()) if span), asked


def _reporting(folder: Folder, count: int) -> float:
    """Returns the CPU milliseconds of a report on the client's side.

    They go to director, rungs, history, JSON, hash and write.
    """
    book = Ledger(folder)
    director = Director(
        dataclasses.replace(_settings(BATCH, count // BATCH), stratify=None, strata=("all",)), STUDY.space, book.append
    )
    director.opened({})
    report, steps = recorded_report(), 0
    for _ in range(BATCH):
        _place(director)
    book.commit()
    began = time.process_time()
    for _ in range(count // BATCH):
        steps += EACH
        for trial in range(BATCH):
            director.reported(trial, dataclasses.replace(report, step=steps, samples=256 * steps))
        book.commit()
    spent = time.process_time() - began
    book.close()
    return 1e3 * spent / count


def _place(director: Director) -> None:
    """Starts the next trial, if there is one."""
    if isinstance(found := director.next(), Assignment):
        director.started(found.trial, found.attempt)


def _proposals(settings: Settings) -> list[Event]:
    """Returns the events of a sweep's opening and of its first trials' starts."""
    events: list[Event] = []
    director = Director(settings, STUDY.space, events.append)
    director.opened({})
    for _ in range(TEMPLATES):
        _place(director)
    return events


def _events(trials: int, steps: Sequence[int]) -> Iterator[Event]:
    """Yields a sweep whose trials all report random values at these steps.

    They finish at the last step.
    """
    first, *rest = _proposals(_settings(trials + TEMPLATES, REPORTS))
    yield first
    proposals = [json.dumps(event.to_dict()) for event in rest if isinstance(event, Proposed)]
    plain, draw = json.dumps(recorded_report().to_dict()), np.random.default_rng(0)
    for number in range(trials):
        yield parse({**from_json(proposals[number % len(proposals)]), "trial": number})
        yield Started(trial=number, attempt=1, time=first.time)
        for step in steps:
            report = {**from_json(plain), "step": step, "samples": 256 * step}
            report["metrics"]["validation/hinge"]["value"] = float(draw.random())
            action: Action = "finish" if step == steps[-1] else "continue"
            yield Reported(trial=number, report=Report.from_dict(report), action=action, reason="", time=first.time)


def searcher() -> Found:
    """Measures Optuna's part, of one stratum of the lookahead study."""
    asked = [event.params for event in _proposals(_settings(1000, REPORTS)) if isinstance(event, Proposed)]
    search = Search(STUDY.space, "laptop", sampler="tpe", seed=0, startup=10, pinned={"lookahead": 10}, ranked=True)
    draw = np.random.default_rng(0)
    found = Found()
    told = 0
    for count in (100, 1000, 10_000):
        began, before = time.process_time(), told
        while told < count:
            search.replay(told, {**asked[told % TEMPLATES], "lr": float(10 ** draw.uniform(-4, -2))})
            for step in range(1, REPORTS + 1):
                search.observations.reported(told, EACH * step, float(draw.random()))
            search.observations.ended(told, "finished")
            told += 1
        spent = 1e3 * (time.process_time() - began) / (told - before)
        numbers = [10 * count + number for number in range(ASKED)]
        asking = iter(numbers)
        found[f"ask at {count}"] = _median(lambda asking=asking: search.ask(next(asking)), ASKED)  # type: ignore[misc]
        for number in numbers:
            search.observations.ended(number, "failed")
        _say(
            f"{count:,} told trials: TPE's proposal; a trial replayed and told",
            found[f"ask at {count}"],
            spent,
            unit="ms",
        )
    return found


def replay() -> Found:
    """Measures the fold of events, and what it leaves in memory."""
    found = Found()
    for trials, reports in ((1000, REPORTS), (4000, REPORTS), (4000, 1), (30_000, 1)):
        with ProcessPoolExecutor(1, get_context("spawn")) as fresh:
            count, spent, size = fresh.submit(_replayed, trials, reports).result()
        _say(
            f"{trials:,} trials of {reports} reports, {count:,} events: CPU, memory", spent, size / 2**20, unit="s, MiB"
        )
        found |= {f"replay {trials} {reports}": spent, f"memory {trials} {reports}": size}
    found["reading"] = _reading(list(_events(1000, _steps(REPORTS))))
    _say("an event read from disk and checked, beside that: CPU", found["reading"], unit="ms")
    return found


def _reading(events: Sequence[Event]) -> float:
    """Returns the CPU milliseconds of reading an event."""
    with tempfile.TemporaryDirectory(prefix="ll-") as place:
        book = Ledger(Folder.at(place) / "ledger")
        for position in map(book.append, events):
            if not position % 100:
                book.commit()
        book.close()
        return _median(lambda: scan(Folder.at(place) / "ledger"), 3) / len(events)


def _steps(reports: int) -> list[int]:
    """Returns the steps of evenly spaced reports over a trial's whole budget."""
    return [EACH * REPORTS * number // reports for number in range(1, reports + 1)]


def _replayed(trials: int, reports: int) -> tuple[int, float, int]:
    """Replays a sweep.

    Returns:
        The events, the CPU seconds of their fold, and the bytes that events, history, searcher and
        rungs keep.
    """
    settings, base = _settings(trials + TEMPLATES, REPORTS), psutil.Process().memory_info().rss
    events = list(_events(trials, _steps(reports)))
    director, began = Director(settings, STUDY.space), time.process_time()
    director.replay(events)
    return len(events), time.process_time() - began, psutil.Process().memory_info().rss - base


def scans(sizes: Sequence[int] = (1000, 5000, 100_000)) -> Found:
    """Measures what looks at all trials."""
    found = Found()
    for count in sizes:
        director = Director(dataclasses.replace(_settings(count + TEMPLATES, REPORTS), sampler="random"), STUDY.space)
        director.replay(_events(count, _steps(1)))
        rows = {
            "director.next() in confirmation, per proposal": _over(director),
            **_looks(director),
            **_board(director.history),
        }
        found |= {f"{name} at {count}": value for name, value in rows.items()}
    for name in rows:
        _say(name, *(found[f"{name} at {count}"] for count in sizes), unit="ms")
    return found


def _over(director: Director) -> float:
    """Returns the CPU milliseconds of a proposal before confirmation.

    Three trials a stratum are to be confirmed.
    """
    asked = director.settings
    chosen = dataclasses.replace(asked, trials=len(director.history.trials), confirm=3, replicates=5)
    director.settings = director.history.opened = chosen
    spent = _median(lambda: _place(director))
    director.settings = director.history.opened = asked
    return spent


def _looks(director: Director) -> Found:
    """Returns the CPU milliseconds of what looks at all trials outside the live leaderboard."""
    history = director.history
    me = cast(Driver, SimpleNamespace(director=director, settings=director.settings))
    display = Display(director, "scale", Console(file=io.StringIO(), width=160))
    return {
        "director.next() with random draws, per proposal": _median(lambda: _place(director)),
        "Driver._wanted, each second": _median(lambda: Driver._wanted(me)),
        "Display.line, each 10 s": _median(display.line),
        "finalists of 4 strata: director.next() while confirmation waits": _median(
            lambda: [director.tally.field(one) for one in leaderboard.strata(history)]
        ),
        "History.copy, once a driver": _median(history.copy, 1),
    }


def _board(history: History) -> Found:
    """Measures rounds of the live leaderboard: the first, and one after a trial's event."""
    board = Board(history, "scale")
    event = Reported(trial=0, report=recorded_report(), action="continue", reason="", time=0.0)

    def turn() -> None:
        board.touch(event)
        board.text({}, 0.0)
        board.summary()

    first = _median(turn, 1)
    size = len(board.text({}, 0.0)) / 1e6
    return {
        "live leaderboard: the first round": first,
        "live leaderboard: a round": _median(turn),
        "live leaderboard: megabytes of text": size,
    }


def waves(attempts: int | None = None) -> Found:
    """Computes the shares of places that train."""
    from leadline.engine.ray.placement import ATTEMPTS

    most = attempts or ATTEMPTS
    found = Found()
    print(
        f"share of places that train, {most} attempts a driver: one in three goes on, none is stopped; "
        "then 20, 100 a place"
    )
    for places in (16, 64, 128, 256, 512, 1000):
        shares = [
            _stopped(most, places),
            _busy([REPORTS] * most, places),
            _stopped(20 * places, places),
            _stopped(100 * places, places),
        ]
        _say(f"{places} places", *shares, unit="")
        found |= {f"busy at {places}": shares[0], f"busy at {places}, none stopped": shares[1]}
    return found


def _stopped(attempts: int, places: int) -> float:
    """Returns the share of places that train if one trial in three goes on at each rung."""
    lengths = np.random.default_rng(0).choice([1, 3, 9, REPORTS], p=[2 / 3, 2 / 9, 2 / 27, 1 / 27], size=(9, attempts))
    return statistics.median(_busy(part.tolist(), places) for part in lengths)


def _busy(lengths: list[int], places: int) -> float:
    """Returns work / (places x time until the last has ended).

    Each trial is taken by the place that is free first.
    """
    free = [0] * places
    for length in lengths:
        heapq.heappush(free, heapq.heappop(free) + length)
    return sum(lengths) / (places * max(free))


def head() -> Found:
    """Measures the CPU of drivers; what starting costs falls out of the differences."""
    few, reports, trials = (_sweep(*sizes) for sizes in ((8, 1), (8, 100), (88, 1)))
    found = {
        "report under Tune": 1e3 * (reports[0] - few[0]) / (8 * 99),
        "trial under Tune": 1e3 * (trials[0] - few[0]) / 80,
    }
    _say("driver's CPU before and after all trials; wall time of that sweep", *few, unit="s")
    _say("driver's CPU for each report", found["report under Tune"], unit="ms")
    _say("driver's CPU for each trial, its one report included", found["trial under Tune"], unit="ms")
    found["views of a trial"] = _views(200)
    _say("TensorBoard files at the end, on disk, for each trial of 20 reports", found["views of a trial"], unit="ms")
    return found


def _sweep(trials: int, reports: int) -> tuple[float, float]:
    """Returns the CPU seconds of the driver of a sleeping sweep, and its wall time."""
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
            "--address",
            "local",
        ]
        command += ["--trials", str(trials), "--steps", str(reports), "--grace", "1", "pause=0.02"]
        began, spent = time.time(), Counter[int]()
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as sweep:
            while sweep.poll() is None:
                time.sleep(0.05)
                with contextlib.suppress(psutil.Error):
                    for child in psutil.Process(sweep.pid).children():
                        # The sum of user and system time, in seconds.
                        used = sum(child.cpu_times()[:2])
                        spent[child.pid] = max(spent[child.pid], used)  # type: ignore[assignment]
        if sweep.returncode:
            raise RuntimeError(f"a sweep ended with {sweep.returncode}")
    # One driver places all of them: its process has spent the most.
    return max(spent.values()), time.time() - began


def _views(trials: int) -> float:
    """Returns the CPU milliseconds of a trial's TensorBoard files."""
    history = History.of(_events(trials, _steps(REPORTS)))
    with tempfile.TemporaryDirectory(prefix="ll-") as place:
        return _median(lambda: tensorboard.write(history, Folder.at(place) / "tensorboard"), 1) / trials


PARTS: dict[str, Callable[[], Found]] = {
    "requests": requests,
    "ledger": ledger,
    "searcher": searcher,
    "replay": replay,
    "scans": scans,
    "waves": waves,
    "head": head,
}
RATIOS = {
    "replay of 30,000 trials / of 4,000, for each trial": ("replay 30000 1", "replay 4000 1", 4000 / 30_000, "<= 1.5"),
    "a proposal by TPE after 10,000 told trials / after 1,000": ("ask at 10000", "ask at 1000", 1.0, "none"),
    "places that train: 1,000, one in three goes on / 64": ("busy at 1000", "busy at 64", 1.0, "none"),
}


def main(names: Sequence[str] = ()) -> list[Result]:
    """Measures and prints; the module's docstring says what.

    Args:
        names: the parts; all by default.
    """
    print(machine())
    found = Found()
    for name in names or PARTS:
        print(f"\n{name}")
        found |= PARTS[name]()
    known = {what: row for what, row in RATIOS.items() if row[0] in found and row[1] in found}
    results = [Result(what, found[a] / found[b] * scale, target) for what, (a, b, scale, target) in known.items()]
    return verdicts(results)


if __name__ == "__main__":
    main(sys.argv[1:])
