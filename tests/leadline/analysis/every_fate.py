"""Random ledgers of sweeps in which a field may have every type, and a trial every fate.

They are written by the real writer; nothing is trained. `recorded` reads them again without any of
the package: the lines of JSON, and what follows from them, as docs/ledger.md says.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from hypothesis import strategies as st
from optuna.distributions import (
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    distribution_to_json,
)

from leadline.config import Floats, Ints, Share, TrialConfig, configuration, knob, make, to_dict
from leadline.finding import Finding
from leadline.ledger.events import (
    Action,
    Audited,
    BaselineScored,
    Closed,
    Event,
    Failed,
    Judged,
    Noted,
    Opened,
    Proposed,
    Reported,
    Retired,
    Started,
)
from leadline.ledger.segments import Ledger
from leadline.ledger.settings import Settings
from leadline.ledger.wording import REPEATS
from leadline.measure import Measure, Report
from leadline.storage import Folder

__all__ = ["BUDGET", "Recorded", "histories", "recorded", "write"]

BUDGET = 40
"""In steps; a step has `ROWS` samples."""
ROWS = 8


@configuration
class EveryConfig(TrialConfig):
    """A field of every type."""

    flag: bool = knob(False, "true or false")
    whole: int = knob(0, "any integer of 64 bits", ge=-(2**63), lt=2**63)
    rate: float = knob(0.0, "any float")
    kind: Literal["a,b", "1e3", "True", "None"] = knob("a,b", "one of several")
    label: str = knob("", "any text")
    maybe_flag: bool | None = knob(None, "true, false or nothing")
    maybe_whole: int | None = knob(None, "an integer or nothing")
    maybe_rate: float | None = knob(None, "a float or nothing")
    maybe_label: str | None = knob(None, "text or nothing")
    widths: Ints = knob((1,), "integers")
    rates: Floats = knob((0.1,), "floats")
    share: Share = knob("1/2", "a part")
    mixed: float | Literal["auto"] = knob("auto", "a float or a word")
    level: int | float | str = knob(0, "stratum")


LOOKALIKES = ["", "1", "1e3", "-0", "2026-01-31", "True", "None", "NaN", "null", "a,b", 'say "x"', "two\nlines"]
LOOKALIKES += ["return\rhere", "=1+1", "+1", "@x", " around ", "<b>", "\ufeff", "é\u2028漢🙂"]
words = st.sampled_from(LOOKALIKES) | st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=8)
floats = st.sampled_from([0.0, -0.0, 5e-324, 1.7976931348623157e308, 0.1 + 0.2, 1e22, 1e16, 123456789.123]) | st.floats(
    allow_nan=False, allow_infinity=False
)
integers = st.sampled_from([0, -1, 2**53 + 1, 2**63 - 1, -(2**63)]) | st.integers(-(2**63), 2**63 - 1)
whole_floats = st.integers(1, 2**53)
"""Integers that Optuna, which keeps floats, can hold."""
positive = st.sampled_from([1e-300, 0.12345678901, 1.0]) | st.floats(1e-6, 1e6)
SEARCHED: dict[str, tuple[st.SearchStrategy[Any], Any]] = {
    "flag": (st.booleans(), CategoricalDistribution([False, True])),
    "whole": (whole_floats, IntDistribution(1, 2**53)),
    "rate": (positive, FloatDistribution(1e-300, 1e6, log=True)),
    "kind": (st.sampled_from(["1e3", "True"]), CategoricalDistribution(["a,b", "1e3", "True", "None"])),
    "maybe_whole": (st.sampled_from([None, 3]), CategoricalDistribution([3, None])),
    "rates": (
        st.sampled_from([[0.1234567891], [0.1234567892], [1.0, 2.0]]),
        {"choices": [[0.1234567891], [0.1234567892], [1.0, 2.0]]},
    ),
    "mixed": (st.sampled_from([0.1234567891, "auto"]), CategoricalDistribution([0.1234567891, "auto"])),
}
"""Parameters by name: their values, and what they are drawn from."""


def configurations(params: dict[str, Any], stratum: Any) -> st.SearchStrategy[dict[str, Any]]:
    """Configurations as a director records them."""
    fields: dict[str, st.SearchStrategy[Any]] = {
        "flag": st.booleans(),
        "whole": integers,
        "rate": floats,
        "kind": st.sampled_from(["a,b", "1e3", "True", "None"]),
        "label": words,
        "maybe_flag": st.none() | st.booleans(),
        "maybe_whole": st.none() | integers,
        "maybe_rate": st.none() | floats,
        "maybe_label": st.none() | words,
        "widths": st.lists(st.integers(1, 2**40), max_size=3).map(tuple),
        "rates": st.lists(positive, max_size=3).map(tuple),
        "share": st.sampled_from(["1/2", "1/12"]),
        "mixed": floats | st.just("auto"),
        "micro_batch": st.sampled_from([0, 32, "auto", "1/4"]),
        "seed": st.integers(0, 2**63 - 1),
    }
    given = {"steps": BUDGET, "eval_every": BUDGET // 4, "level": stratum, **params}
    return st.fixed_dictionaries(fields).map(lambda drawn: to_dict(make(EveryConfig, {**drawn, **given})))


def _json(distribution: Any) -> str:
    if isinstance(distribution, dict):
        return json.dumps({"name": "CategoricalDistribution", "attributes": distribution})
    return distribution_to_json(distribution)


FATES = ["finished", "stopped", "nan", "inf", "failed", "infeasible", "waiting", "running", "lost", "excused"]
FATES += ["halved", "no memory", "never", "retired", "repeat"]


class _Story:
    """Draws and keeps the events of one sweep."""

    def __init__(self, draw: Callable[[st.SearchStrategy[Any]], Any]) -> None:
        self.draw = draw
        self.events: list[Event] = []
        self.count = 0
        self.finished: list[tuple[int, str, dict[str, Any]]] = []

    @property
    def now(self) -> float:
        return 1.75e9 + 7.3 * len(self.events)

    def add(self, kind: type[Any], /, **fields: Any) -> None:
        self.events.append(kind(**fields, time=self.now))

    def measure(self, value: float, units: int = 0) -> Measure:
        if units:
            spread = self.draw(st.floats(0, 1))
            values = tuple(value + spread * one / units for one in range(units))
            return Measure(value, units, value - spread, value + spread, values)
        low, high = sorted((self.draw(floats), self.draw(floats))) if math.isfinite(value) else (math.nan, math.nan)
        return Measure(value, self.draw(st.integers(0, 10**6)), low, high)

    def report(self, trial: int, attempt: int, step: int, value: float, test: bool = False, **facts: float) -> Report:
        metrics = {"validation/score": self.measure(value)}
        if self.draw(st.booleans()):
            metrics["validation/other"] = self.measure(self.draw(floats))
        if test:
            metrics["test/score"] = self.measure(self.draw(st.floats(-10, 10)), 3)
        facts |= {"loss": self.draw(floats | st.just(math.nan)), "learning_rate": self.draw(positive)}
        guard = self.draw(st.sampled_from(["", "", "plateau", "spike"]))
        found = (Finding(guard, self.draw(st.booleans()), self.draw(st.floats()), "<i>"),) if guard else ()
        name = f"attempt-{attempt:02d}/step-{step:09d}" if self.draw(st.booleans()) else None
        seconds = step * self.draw(st.floats(1e-3, 10))
        return Report(step, ROWS * step, seconds, seconds / 7, metrics, facts, name, found)

    def reported(self, trial: int, attempt: int, step: int, action: Action, value: float, **more: Any) -> None:
        reason = self.draw(words) if action != "continue" else ""
        report = self.report(trial, attempt, step, value, **more)
        self.add(Reported, trial=trial, report=report, action=action, reason=reason)

    def failed(self, trial: int, attempt: int, error: str, cause: str, final: bool, **more: Any) -> None:
        self.add(Failed, trial=trial, attempt=attempt, cause=cause, error=error, final=final, **more)

    def proposed(self, stratum: Any, inferred: bool, infeasible: bool = False) -> tuple[int, dict[str, Any]]:
        names = self.draw(st.lists(st.sampled_from(sorted(SEARCHED)), unique=True, max_size=4))
        params = {name: self.draw(SEARCHED[name][0]) for name in names}
        drawn = {} if inferred else {name: _json(SEARCHED[name][1]) for name in names}
        config = {**params, "level": stratum} if infeasible else self.draw(configurations(params, stratum))
        if infeasible and "rate" in config:
            config["rate"] = self.draw(st.sampled_from([config["rate"], 3]))  # as the space has said it
        number = self.count
        self.count += 1
        why = "rate: cannot be" if infeasible else ""
        mine = {"trial": number, "stratum": str(stratum), "kind": "search", "of": None}
        self.add(Proposed, **mine, params=params, config=config, distributions=drawn, infeasible=why)
        return number, config

    def trial(self, stratum: Any, fate: str, inferred: bool) -> None:
        trial, config = self.proposed(stratum, inferred, fate == "infeasible")
        if fate in ("infeasible", "waiting"):
            return
        if fate == "never":
            self.add(Judged, trial=trial, action="stop", reason="target reached")
            return
        if fate == "repeat":
            twin = self.draw(st.integers(0, trial))
            self.add(Judged, trial=trial, action="stop", reason=f"{REPEATS} trial {twin}, which is trained for both")
            return
        self.add(Started, trial=trial, attempt=1, workers=1)
        known = {"micro_batch": 16} if isinstance(config["micro_batch"], str) else {}
        if warning := self.draw(st.sampled_from(["", "", "odd <i>", "'loss' is nan"])):
            for count in self.draw(st.sampled_from([(1,), (2, 4000)])):
                self.add(Noted, text=warning, trial=trial, count=count)
        self.attempt(trial, fate, config, known)

    def attempt(self, trial: int, fate: str, config: dict[str, Any], known: dict[str, Any]) -> None:
        value, part, attempt = self.draw(floats), BUDGET // 4, 1
        traceback = self.draw(st.sampled_from(["Traceback\n  line\nValueError: 'é' \udcff <b>", "killed\r\nby nobody"]))
        if fate in ("lost", "excused", "halved"):
            if fate == "excused":
                self.reported(trial, 1, part, "continue", self.draw(floats), **known)
            smaller = {"micro_batch": 4} if fate == "halved" else {}
            cause = {"lost": "lost", "excused": "preempted", "halved": "memory"}[fate]
            self.failed(trial, 1, traceback, cause, False, **smaller, excused=fate == "excused")
            attempt = 2
            self.add(Started, trial=trial, attempt=2, workers=2)
            if self.draw(st.booleans()):
                return
        if fate == "failed":
            if self.draw(st.booleans()):
                self.reported(trial, 1, part, "continue", value, **known)
            self.failed(trial, 1, traceback, "error", True)
        elif fate == "no memory":
            self.failed(trial, 1, f"infeasible: out of memory\n{traceback}", "memory", True)
        elif fate in ("nan", "inf"):
            self.reported(trial, 1, part, "continue", value, **known)
            self.reported(trial, 1, 2 * part, "stop", math.nan if fate == "nan" else math.inf, **known)
        elif fate in ("stopped", "running"):
            self.reported(trial, 1, 2 * part, "stop" if fate == "stopped" else "continue", value, **known)
        else:
            self.reported(trial, attempt, 2 * part, "continue", self.draw(floats), **known)
            self.reported(trial, attempt, 4 * part, "finish", value, **known)
            self.finished.append((trial, "", config))
            if fate == "retired":
                names = [f"attempt-01/step-{step * part:09d}" for step in (2, 4)]
                self.add(Retired, trial=trial, checkpoints=names[: self.draw(st.integers(1, 2))])

    def replicates(self, strata: dict[int, str]) -> None:
        for of, _, config in self.finished:
            for _ in range(self.draw(st.integers(0, 2))):
                trial = self.count
                self.count += 1
                again = {**config, "seed": self.draw(st.integers(0, 2**63 - 1))}
                mine = {"trial": trial, "stratum": strata[of], "kind": "replicate", "of": of}
                self.add(Proposed, **mine, params={}, config=again)
                self.add(Started, trial=trial, attempt=1, workers=1)
                value = self.draw(st.floats(-10, 10))
                if self.draw(st.booleans()):
                    self.reported(trial, 1, BUDGET, "finish", value, test=True)
                else:
                    self.failed(trial, 1, "Traceback\nRuntimeError: lost its seed", "error", True)

    def extended(self, settings: Settings) -> None:
        """A second run with a longer budget: some that had finished go on."""
        longer = dataclasses.replace(settings, budget=2 * settings.budget)
        self.add(Opened, settings=longer, manifest={"versions": {}})
        for trial, _, _ in self.finished:
            goes = self.draw(st.booleans())
            reason = f"goes on to {longer.budget}" if goes else "it stays"
            self.add(Judged, trial=trial, action="continue" if goes else "stop", reason=reason)
            if goes and self.draw(st.booleans()):
                self.add(Started, trial=trial, attempt=3, workers=1)
                self.reported(trial, 3, 2 * BUDGET, "finish", self.draw(floats))


@st.composite
def histories(draw: Any, least: int = 3, most: int = 10) -> list[Event]:
    """The events of one sweep."""
    story = _Story(draw)
    stratified = draw(st.booleans())
    strata = draw(st.sampled_from([(1, 2), (0.5, 1e22), ("1", "a b"), (10,)])) if stratified else ("all",)
    unit = draw(st.sampled_from(["steps", "samples"]))
    mode = draw(st.sampled_from(["min", "max"]))
    scale = ROWS if unit == "samples" else 1
    metric = {"mode": mode, "unit": "rows", "doc": "a score", "role": "score", "series": None}
    settings = Settings(
        study="every",
        family="not installed",
        metric="score",
        mode=mode,
        sampler="random",
        scale="smoke",
        stratify="level" if stratified else None,
        strata=strata,
        trials=most,
        budget=BUDGET * scale,
        grace=BUDGET // 4 * scale,
        reduction=2,
        startup=1,
        seed=0,
        confirm=2,
        replicates=2,
        fields={},
        overrides={},
        unit=unit,
        metrics={"score": metric, "other": metric},
    )
    story.add(Opened, settings=settings, manifest={"versions": {}})
    for stratum in strata:
        for name in draw(st.lists(st.sampled_from(["constant", "oracle: all", "<b>"]), unique=True)):
            metrics = {"validation/score": story.measure(draw(floats)), "test/score": story.measure(0.0, 3)}
            story.add(BaselineScored, stratum=str(stratum), name=name, metrics=metrics)
        said = {"guard": "overlap", "stratum": str(stratum), "failed": False, "sentence": "none, 'so'"}
        story.add(Audited, **said, number=draw(floats))
    inferred = draw(st.integers(0, 3)) == 0
    dealt: dict[int, str] = {}
    for fate in draw(st.lists(st.sampled_from(FATES), min_size=least, max_size=most)):
        stratum = draw(st.sampled_from(strata))
        dealt[story.count] = str(stratum)
        story.trial(stratum, fate, inferred)
    if draw(st.booleans()):
        story.add(Noted, text=draw(words.filter(str.strip)))
    if draw(st.booleans()):
        story.extended(settings)
    else:
        story.replicates(dealt)
    if draw(st.booleans()):
        story.add(Closed, how=draw(st.sampled_from(["done", "interrupted"])))
    return story.events


def write(events: list[Event], folder: Path) -> Path:
    """Stores the events as a sweep's ledger in `folder`, which it returns."""
    ledger = Ledger(Folder.at(str(folder / "ledger")))
    for event in events:
        ledger.append(event)
    ledger.close()
    return folder


@dataclass
class Recorded:
    """A trial as the lines of the ledger have it."""

    number: int
    proposed: dict[str, Any]
    budget: int
    status: str = "waiting"
    reason: str = ""
    config: dict[str, Any] = field(default_factory=dict)
    trained: dict[str, Any] = field(default_factory=dict)
    reports: list[dict[str, Any]] = field(default_factory=list)
    moments: list[float] = field(default_factory=list)
    first: float = 0.0
    attempts: int = 0
    failures: int = 0
    began: float | None = None
    wall: float = 0.0
    retired: set[str] = field(default_factory=set)
    until: float = 0.0

    @property
    def last(self) -> dict[str, Any] | None:
        return self.reports[-1] if self.reports else None

    def measure(self, name: str) -> dict[str, Any]:
        """The measure in the last report; null where there is none."""
        none = {"value": None, "n": 0, "low": None, "high": None}
        return (self.last or {"metrics": {}})["metrics"].get(name, none)  # type: ignore[no-any-return]

    def value(self, name: str) -> float | None:
        return self.measure(name)["value"]  # type: ignore[no-any-return]

    @property
    def checkpoint(self) -> str | None:
        name = self.last["checkpoint"] if self.last else None
        return None if name in self.retired else name

    @property
    def infeasible(self) -> bool:
        return self.status == "failed" and self.reason.startswith("infeasible: ")

    def leave(self, now: float) -> None:
        if self.began is not None:
            self.wall += now - self.began
        self.began = None


@dataclass
class Book:
    """What the lines of a ledger come to."""

    lines: list[dict[str, Any]]
    trials: dict[int, Recorded] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def search(self) -> list[Recorded]:
        return [trial for trial in self.trials.values() if trial.proposed["kind"] == "search"]

    @property
    def strata(self) -> list[str]:
        return [str(stratum) for stratum in self.settings["strata"]]

    def spent(self, report: dict[str, Any] | None) -> int:
        name = "samples" if self.settings["unit"] == "samples" else "step"
        return report[name] if report else 0

    def of_type(self, name: str) -> list[dict[str, Any]]:
        return [line for line in self.lines if line["type"] == name]

    def take(self, line: dict[str, Any]) -> None:
        kind, now = line["type"], line["time"]
        if kind == "opened":
            self._opened(line)
        elif kind == "proposed":
            made = self.trials[line["trial"]] = Recorded(line["trial"], line, self.settings["steps"], until=now)
            made.config, made.trained = dict(line["config"]), dict(line["config"])
            if line["infeasible"]:
                made.status, made.reason = "failed", f"infeasible: {line['infeasible']}"
        elif kind == "closed":
            self._interrupted()
        elif kind == "retired":
            self.trials[line["trial"]].retired |= set(line["checkpoints"])
        elif kind in ("started", "reported", "judged", "failed"):
            trial = self.trials[line["trial"]]
            trial.until = now
            getattr(self, f"_{kind}")(trial, line)

    def _interrupted(self) -> None:
        for trial in self.trials.values():
            if trial.status == "running":
                trial.status = "waiting"

    def _opened(self, line: dict[str, Any]) -> None:
        before, self.settings = self.settings.get("steps", 0), line["settings"]
        self._interrupted()
        for trial in self.trials.values():
            trial.began = None
            if before < self.settings["steps"] and trial.status in ("waiting", "finished"):
                if trial.status == "finished":
                    trial.reason = f"the budget of {before} has been raised to {self.settings['steps']}"
                trial.status = "waiting"

    def _started(self, trial: Recorded, line: dict[str, Any]) -> None:
        factor = self.settings["steps"] // trial.budget
        for config in (trial.config, trial.trained):
            config["steps"] *= factor
        trial.budget = self.settings["steps"]
        trial.status, trial.attempts, trial.began = "running", line["attempt"], line["time"]
        trial.first = trial.first or line["time"]

    def _reported(self, trial: Recorded, line: dict[str, Any]) -> None:
        trial.reports.append(line["report"])
        trial.moments.append(line["time"])
        trial.reason = line["reason"]
        if isinstance(trial.trained["micro_batch"], str) and "micro_batch" in line["report"]["facts"]:
            trial.trained["micro_batch"] = line["report"]["facts"]["micro_batch"]
        if line["action"] != "continue":
            trial.status = {"finish": "finished", "stop": "stopped"}[line["action"]]
            trial.leave(line["time"])

    def _judged(self, trial: Recorded, line: dict[str, Any]) -> None:
        trial.status = "waiting" if line["action"] == "continue" else "stopped"
        trial.reason = line["reason"]

    def _failed(self, trial: Recorded, line: dict[str, Any]) -> None:
        trial.leave(line["time"])
        trial.failures += line["cause"] not in ("storage", "preempted")
        trial.trained["micro_batch"] = line.get("micro_batch", trial.trained["micro_batch"])
        trial.status, trial.reason = ("failed" if line["final"] else "waiting"), line["error"]


def recorded(folder: Path) -> Book:
    """Reads the lines of a sweep's ledger."""
    files = sorted((folder / "ledger").glob("*.jsonl"))
    book = Book([json.loads(line) for file in files for line in file.read_text().splitlines()[1:]])
    for line in book.lines:
        book.take(line)
    return book
