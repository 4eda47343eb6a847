"""What the report costs: its size, and how soon a browser shows it, with 40 and 2,000 trials.

    python -m benchmarks.report [TRIALS ...]

takes a few minutes, and needs Chromium or Chrome (`tests.browser` finds it). The sweeps are made
up: the real director and a real ledger of the lookahead study in four strata, with values in place
of training; rungs stop trials, and the four best of each stratum race for ten confirmation runs.
Each page is opened three times in a browser of its own, from its file.

first       from the start of loading to the first contentful paint, which has the answer.
figure      from there, once the learning curves are scrolled to, until all of them are drawn.
sorted      from a click on a heading of the leaderboard until its rows are in order.
longest     the longest time that the page did not answer in all of this.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import Browser, sync_playwright

from benchmarks._common import Result, machine, row, verdicts
from benchmarks.durability import _settings
from leadline import Sweep
from leadline.analysis.report import document
from leadline.engine.director import Assignment, Director
from leadline.ledger.events import Event
from leadline.ledger.segments import Ledger
from leadline.ledger.settings import Settings
from leadline.measure import Measure, Report
from leadline.storage import Folder
from sweeps.lookahead import STUDY
from tests.browser import find

__all__ = ["main"]

UNITS = 128
REPORTS = 9
WATCH = """new PerformanceObserver(list => {
  for (const task of list.getEntries()) window.longest = Math.max(window.longest ?? 0, task.duration);
}).observe({ type: "longtask", buffered: true })"""
PAINTED = "performance.getEntriesByName('first-contentful-paint')"
DRAWN = "[...document.querySelectorAll('#curves .figure')].every(box => box.querySelector('svg.main-svg'))"


def write(folder: Folder, trials: int) -> None:
    """Writes the ledger of a made-up sweep of so many search trials."""
    settings = dataclasses.replace(
        _settings(trials, REPORTS), sampler="random", startup=3, confirm=2, replicates=5, strata=(10, 20, 50, 100)
    )
    ledger = Ledger(folder / "ledger")
    events: list[Event] = []
    director = Director(settings, STUDY.space, events.append)
    director.opened({"command": ["lookahead.py"], "versions": {}})
    for stratum in settings.strata:
        for name, value in (("constant", 1.0), ("sum of ln T^k", 0.2)):
            director.baseline(str(stratum), name, _measures(value / math.log10(stratum), "test", 7))
    while isinstance(found := director.next(), Assignment):
        director.started(found.trial, found.attempt)
        _train(director, settings, found)
        for event in events:
            ledger.append(event)
        events.clear()
        ledger.commit()
    director.closed("done")
    for event in events:
        ledger.append(event)
    ledger.close()


def _measures(value: float, split: str, seed: int) -> dict[str, Any]:
    """Returns two metrics, on both splits where they are a trivial predictor's or a test's."""
    splits = ("validation", "test") if split == "test" else ("validation",)
    found: dict[str, Any] = {}
    for name in splits:
        units = value * np.random.default_rng(seed).uniform(0.5, 1.5, UNITS)
        half = float(2 * units.std() / math.sqrt(UNITS))
        mean = float(units.mean())
        found[f"{name}/hinge"] = Measure(mean, UNITS, mean - half, mean + half, tuple(units.tolist()))
        found[f"{name}/violations"] = Measure(mean / 2, UNITS, (mean - half) / 2, (mean + half) / 2)
    if split == "test":
        return {name: measure.to_dict(units=name.startswith("test/")) for name, measure in found.items()}
    return found


def _train(director: Director, settings: Settings, found: Assignment) -> None:
    """Reports a trial's made-up values until it is stopped or has spent its budget."""
    off = math.log10(found.config["lr"] / 2e-3) ** 2
    seed = 1 + (found.config["seed"] % 11 - 5) / 100
    for step in range(settings.grace, settings.budget + 1, settings.grace):
        value = seed * (0.05 + 0.1 * off) * (1 + settings.grace / step) / math.log10(found.config["lookahead"])
        whole = found.test and step == settings.budget
        measures = _measures(value, "test" if whole else "validation", found.trial)
        metrics = {name: Measure(**one) if isinstance(one, dict) else one for name, one in measures.items()}
        report = Report(step, 256 * step, step / 100, step / 1000, metrics, {"loss": value}, f"step-{step:09d}")
        if director.reported(found.trial, report).action != "continue":
            return


def _open(browser: Browser, file: Path) -> dict[str, float]:
    """Opens a page and returns how many seconds each part of `__doc__` took."""
    page = browser.new_context(viewport={"width": 1366, "height": 768}, offline=True).new_page()
    page.goto(file.as_uri())
    page.evaluate(WATCH)
    page.wait_for_function(f"{PAINTED}.length")  # it may be painted later than it is loaded
    first = page.evaluate(f"{PAINTED}[0].startTime") / 1000
    page.locator(".sentence").wait_for()
    began = time.perf_counter()
    page.evaluate("document.querySelector('#curves').scrollIntoView()")
    page.wait_for_timeout(50)
    page.evaluate("document.querySelector('#curves .figure:last-child').scrollIntoView()")
    page.wait_for_function(DRAWN)
    drawn = time.perf_counter()
    heading = page.locator("#leaderboard th button", has_text="trial").first
    heading.scroll_into_view_if_needed()
    clicked = time.perf_counter()
    heading.evaluate("button => button.click()")
    page.wait_for_function("document.querySelector('#leaderboard tbody tr td:nth-child(2)').textContent === '0'")
    ended = time.perf_counter()
    longest = float(page.evaluate("window.longest ?? 0")) / 1000
    page.context.close()
    return {"first": first, "figure": drawn - began, "sorted": ended - clicked, "longest": longest}


def main(sizes: Sequence[int] = (40, 2000)) -> list[Result]:
    """Measures pages of sweeps with so many trials, and prints what it finds."""
    print(machine())
    results = []
    with tempfile.TemporaryDirectory(prefix="ll-") as place, sync_playwright() as playwright:
        for trials in sizes:
            folder = Folder.at(f"{place}/results/{trials}")
            write(folder, trials)
            began = time.perf_counter()
            file = Path(place) / f"{trials}.html"
            file.write_text(document.page(Sweep.open(folder)), encoding="utf-8")
            made, size = time.perf_counter() - began, file.stat().st_size / 1e6
            print(f"{trials:,} trials: {size:.2f} MB, made in {made:.1f} s; min, median, max of three")
            times = []
            for _ in range(3):
                browser = playwright.chromium.launch(executable_path=find(), args=["--no-sandbox"])
                times.append(_open(browser, file))
                browser.close()
            for name in times[0]:
                print(row(f"    {name}", [one[name] for one in times], "s"))
            results.append(Result(f"report of {trials:,} trials: MB", size, "<= 2" if trials <= 40 else ""))
            first = min(one["first"] for one in times)
            results.append(Result(f"report of {trials:,} trials: seconds to its first paint", first, "<= 2"))
    return verdicts(results)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report")
    parser.add_argument("trials", nargs="*", type=int)
    main(parser.parse_args().trials or (40, 2000))
