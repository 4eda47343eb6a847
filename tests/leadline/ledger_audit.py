"""An audit of a sweep's books: its ledger, by rules of their own rather than by the engine's, and its trials' folders.

`violations` looks at events alone, `audit` at a whole sweep. Each violation is a line; no line, no violation.
"""

from __future__ import annotations

import itertools
import json
import math
import re
import warnings
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from leadline.checkpoint import CheckpointStore, DamagedCheckpoint, attempt_folder
from leadline.engine.director import Director
from leadline.engine.search import Space, seed_of
from leadline.ledger import leaderboard
from leadline.ledger.events import Event, Started, parse
from leadline.ledger.format import Record
from leadline.ledger.history import History, Trial
from leadline.ledger.layout import trial_folder
from leadline.ledger.segments import read
from leadline.ledger.settings import Settings
from leadline.measure import Report
from leadline.storage import Folder
from leadline.testing import curve
from tests.leadline.toy_study import STUDY

__all__ = ["audit", "records", "violations", "without_clocks"]

_FIRST_STEP = re.compile(r"^\S+ step (\d+)/", re.MULTILINE)
_RESUMED = re.compile(r"^\S+ resumed from attempt-\d+/step-(\d+)", re.MULTILINE)


def audit(folder: Folder, space: Space = STUDY.space) -> list[str]:
    """What is wrong with a sweep that no driver runs now."""
    events = read(folder / "ledger")
    history = History.of(events)
    found = violations(events, space)
    for trial in history.trials.values():
        store = CheckpointStore(folder / trial_folder(trial.number))
        found += [f"trial {trial.number}: {text}" for text in (*_last(store, trial), *_repeated(store, trial, events))]
    return found


def records(events: Iterable[Event | Record]) -> list[Record]:
    """Events as they are stored; the rules here are read off that, not off the engine's own objects."""
    return [event if isinstance(event, dict) else event.to_dict() for event in events]


def violations(events: Iterable[Event | Record], space: Space = STUDY.space) -> list[str]:
    """What is wrong with a ledger. Where trials' lives are not as they should be, they are not replayed."""
    stored = records(events)
    found = _lives(stored)
    return [*found, *_decisions(stored), *([] if found else [*_proposals(stored, space), *_confirmed(stored)])]


def without_clocks(events: Iterable[Event | Record]) -> list[Record]:
    """What two runs of one command must agree on, and what tells them apart left out.

    Clocks are: times of events; the manifest, which has the process, its start and its machine;
    seconds of training and of overhead;
    the guards' share; findings of guards that watch the machine (see `leadline.testing.curve`);
    when a checkpoint was removed.
    """
    found = []
    for event in [event for event in records(events) if event["type"] != "retired"]:
        plain = {name: value for name, value in event.items() if name not in ("time", "manifest")}
        if event["type"] == "reported":
            plain["report"] = {
                **curve([Report.from_dict(event["report"])])[0],
                "checkpoint": event["report"]["checkpoint"],
            }
        found.append(plain)
    return found


@dataclass
class _Life:
    """What must be true of the next event of a trial. `ends` are the steps of whole trials, by the budgets so far."""

    kind: str
    every: int
    ends: list[int]
    status: str = "waiting"
    attempts: int = 0
    step: int = 0
    seen: list[str] = field(default_factory=list)

    def steps(self) -> set[int]:
        """Those that may be reported next."""
        return {min((self.step // self.every + 1) * self.every, end) for end in self.ends if end > self.step}


def _lives(events: Sequence[Record]) -> list[str]:
    """Numbers without gaps; nothing twice; nothing after an end, unless the budget was extended;
    all ended where the sweep is done.
    """
    lives: dict[int, _Life] = {}
    found: list[str] = []
    budget = 0
    for event in events:
        if event["type"] in ("opened", "closed"):
            if event["type"] == "opened":
                _raise(lives, budget, budget := event["settings"]["steps"])
            for life in lives.values():
                life.status = "waiting" if life.status == "running" else life.status
        elif event["type"] == "proposed":
            if event["trial"] != len(lives):
                found.append(f"trial {event['trial']} is proposed where {len(lives)} comes next")
            config = event["config"]
            lives[event["trial"]] = _Life(event["kind"], config.get("eval_every", 1), [config.get("steps", 1)])
            lives[event["trial"]].status = "failed" if event["infeasible"] else "waiting"
        elif event["type"] in ("started", "reported", "failed", "judged"):
            if event["trial"] not in lives:
                return [*found, f"trial {event['trial']} is {event['type']} and was not proposed"]
            found += [f"trial {event['trial']}: {text}" for text in _next(lives[event["trial"]], event)]
    if events and events[-1] == next((event for event in reversed(events) if event["type"] == "closed"), None):
        open_ = [number for number, life in lives.items() if life.status in ("waiting", "running", "due")]
        found += [
            f"trial {number} is left open by a sweep that is done" for number in open_ if events[-1]["how"] == "done"
        ]
    return found


def _raise(lives: dict[int, _Life], before: int, now: int) -> None:
    if not 0 < before < now:
        return
    for life in lives.values():
        life.ends.append(life.ends[-1] * now // before)
        if life.kind == "replicate" and life.status in ("waiting", "running", "finished"):
            life.status = "resting"
        elif life.status == "finished":
            life.status = "due"


def _next(life: _Life, event: Record) -> Iterator[str]:
    kind = event["type"]
    wanted = {
        "started": ("waiting",),
        "reported": ("running",),
        "failed": ("running",),
        "judged": ("due", "resting", "waiting"),
    }[kind]
    if life.status not in wanted:
        yield f"{kind} when it is {life.status}"
    if kind == "started":
        if event["attempt"] != life.attempts + 1:
            yield f"attempt {event['attempt']} follows attempt {life.attempts}"
        life.status, life.attempts = "running", event["attempt"]
    elif kind == "reported":
        step = event["report"]["step"]
        if step not in life.steps():
            yield f"step {step} follows step {life.step}"
        life.step = step
        life.status = {"continue": "running", "finish": "finished", "stop": "stopped"}[event["action"]]
    elif kind == "failed":
        life.status = "failed" if event["final"] else "waiting"
    elif kind == "judged":
        life.status = "waiting" if event["action"] == "continue" else "stopped"


def _decisions(events: Sequence[Record]) -> list[str]:
    """Each decision is the one that ASHA makes for the recorded order of arrivals, in exact
    arithmetic; NaN and the target apart. Where rungs are weighed, some trials go on for all that.
    """
    found: list[str] = []
    kinds: dict[int, tuple[str, str]] = {}
    configs: dict[int, tuple[str, dict[str, Any]]] = {}
    useless: set[int] = set()
    code, codes = "", defaultdict[int, set[str]](set)
    last: dict[int, tuple[int, float]] = {}
    judged: dict[tuple[str, int], dict[int, float]] = defaultdict(dict)
    finished: dict[int, float] = {}
    due: list[int] = []
    starts: dict[int, float] = {}
    spared: dict[int, float] = {}
    settings: dict[str, Any] = {}
    for event in events:
        if event["type"] == "opened":
            if event["settings"]["steps"] != settings.get("steps"):
                due, finished = [*due, *finished], {}
            settings = event["settings"]
            spared = _spared(judged, finished, kinds, settings)
            code = event["manifest"].get("code", {}).get("family", {}).get("fingerprint") or ""
        elif event["type"] == "proposed":
            kinds[event["trial"]] = event["kind"], event["stratum"]
            starts[event["trial"]] = event.get("judged_from", 0.0)
            chosen = {name: value for name, value in event["config"].items() if name not in ("steps", "eval_every")}
            if event["kind"] == "search":
                configs[event["trial"]] = event["stratum"], chosen
            if event["infeasible"]:
                useless.add(event["trial"])
        elif event["type"] == "failed" and event["final"]:
            useless.add(event["trial"])
        elif event["type"] in ("reported", "judged") and event["trial"] in kinds:
            number = event["trial"]
            kind, stratum = kinds[number]
            if event["type"] == "judged" and event["action"] == "stop" and number not in last:
                useless.add(number)
                twins = [one for one in configs if one < number and configs[one] == configs[number]]
                first = next((one for one in twins if one not in useless and (not code or codes[one] <= {code})), None)
                if event["reason"].startswith("the same configuration as"):
                    if event["reason"] != f"the same configuration as trial {first}, which is trained for both":
                        found.append(f"trial {number}: repeats trial {first}, where the ledger says: {event['reason']}")
                    continue
            if event["type"] == "reported":
                codes[number] |= {code} - {""}
                report = Report.from_dict(event["report"])
                spent = report.samples if settings["unit"] == "samples" else report.step
                last[number] = spent, report.metrics[f"validation/{settings['metric']}"].value
            elif kind == "replicate":
                continue
            elif number in due:
                found += (
                    [f"trial {number} is judged before trial {due[0]}, which came first"] if due[0] != number else []
                )
                due.remove(number)
            spent, value = last.get(number, (0, 0.0))
            action = (
                _alone(spent, value, settings)
                if kind == "replicate"
                else _asha(judged, stratum, number, spent, value, starts[number], spared, settings)
            )
            if kind == "search":
                enough = settings.get("until") and "more trials are expected to bring at most" in event["reason"]
                action = "stop" if action == "continue" and (enough or _reached(finished, settings)) else action
                if action == "finish":
                    finished[number] = value
                    spared = _spared(judged, finished, kinds, settings)
            if action != event["action"]:
                found.append(
                    f"trial {number}: {event['action']} after {spent}, where the order of arrivals says {action}"
                )
    return found


def _reached(finished: dict[int, float], settings: dict[str, Any]) -> bool:
    target = settings["target"]
    return target is not None and any(
        value <= target if settings["mode"] == "min" else value >= target for value in finished.values()
    )


def _alone(spent: int, value: float, settings: dict[str, Any]) -> str:
    return "stop" if not math.isfinite(value) else "finish" if spent >= settings["steps"] else "continue"


def _asha(
    judged: dict[tuple[str, int], dict[int, float]],
    stratum: str,
    number: int,
    spent: int,
    value: float,
    start: float,
    spared: dict[int, float],
    settings: dict[str, Any],
) -> str:
    if not math.isfinite(value):
        return "stop"
    sign = 1 if settings["mode"] == "min" else -1
    rung = settings["grace"]
    chosen, own = settings.get("scheduler", "asha"), seed_of(settings["seed"], 3, number) / 2**63
    while rung < settings["steps"] and rung <= spent:
        rivals = judged[stratum, rung]
        early = judged["early", rung]
        if start and rung <= start * settings["steps"] and number not in rivals:
            early[number] = value
        if number not in rivals and number not in early:
            rivals[number] = sign * value
            ordered = sorted(map(Fraction, rivals.values()))
            place = Fraction(len(ordered) - 1, settings["reduction"])
            low, rest = ordered[math.floor(place)], place - math.floor(place)
            cut = low + rest * (ordered[math.ceil(place)] - low)
            weighed = chosen == "weighed" and number >= 15 and own < spared.get(rung, 0.2)
            if float(cut) != rivals[number] and Fraction(sign * value) > cut and chosen != "none" and not weighed:
                return "stop"
        rung *= settings["reduction"]
    return "finish" if spent >= settings["steps"] else "continue"


def _spared(
    judged: dict[tuple[str, int], dict[int, float]],
    finished: dict[int, float],
    kinds: dict[int, tuple[str, str]],
    settings: dict[str, Any],
) -> dict[int, float]:
    """The share of trials that each rung does not judge: 0.8 less tau, for which 4 trials say 0.6 beforehand."""
    sign = 1 if settings["mode"] == "min" else -1
    found = {}
    for rung in {rung for _, rung in judged}:
        at = {number: judged[kinds[number][1], rung].get(number) for number in finished}
        ends = [(kinds[n][1], sign * value, finished[n]) for n, value in at.items() if value is not None]
        pairs = [(a[1] - b[1], a[2] - b[2]) for a, b in itertools.combinations(ends, 2) if a[0] == b[0]]
        agree = sum((x > 0) - (x < 0) if y > 0 else (x < 0) - (x > 0) for x, y in pairs if x and y)
        untied = [sum(pair[side] != 0 for pair in pairs) for side in (0, 1)]
        tau = agree / math.sqrt(untied[0] * untied[1]) if all(untied) else 0.6
        found[rung] = min(max(0.8 - (4 * 0.6 + len(ends) * tau) / (4 + len(ends)), 0.1), 0.8)
    return found


def _proposals(events: Sequence[Record], space: Space) -> list[str]:
    """Each proposal is the one that a director makes which knows the events before it, and nothing else."""
    made: list[Event] = []
    director: Director | None = None
    for event in events:
        if event["type"] == "opened":
            settings = Settings.from_dict(event["settings"])
            director = director or Director(settings, space, made.append)
            director.settings = settings
        assert director is not None, "a ledger begins with `opened`"
        if event["type"] != "proposed":
            director._fold(parse(event))
            continue
        made.clear()
        if event["kind"] == "search":
            director._propose_search(event["trial"], len(director.history.search_trials()))
        else:
            director._propose_scout() or director._propose_replicate()
        (again,) = records(made) or [{"params": None}]
        if _timeless(again) != _timeless(event):
            return [
                f"trial {event['trial']} is proposed as {event['params']}, where the history says {again['params']}"
            ]
    return []


def _timeless(event: Record) -> Record:
    plain: Record = json.loads(json.dumps(event))
    return {name: value for name, value in plain.items() if name != "time"}


def _confirmed(events: Sequence[Record]) -> list[str]:
    """A sweep that is done has tried all it was asked for, and every finalist has all its
    replicates, scored on test.
    """
    history = History.of(map(parse, events))
    if history.closed != "done":
        return []
    settings, found = history.settings, []
    if len(history.search_trials()) != settings.trials and settings.target is None:
        found.append(f"{len(history.search_trials())} of {settings.trials} trials were proposed")
    for stratum in leaderboard.strata(history):
        most = settings.confirm if settings.confirm < 2 else 2 * settings.confirm
        field = leaderboard.finalists(history, stratum, most)
        runs = {trial.number: history.replicates(trial.number) for trial in field}
        if any(run.open for each in runs.values() for run in each):
            found.append(f"a replicate of stratum {stratum} has not ended")
        means = {trial.number: _mean(history, trial, runs[trial.number]) for trial in field}
        if field and len(runs[ahead := min(means, key=means.__getitem__)]) < settings.replicates:
            found.append(f"finalist {ahead} has {len(runs[ahead])} of {settings.replicates} replicates")
        made, asked = sum(map(len, runs.values())), min(settings.confirm, len(field)) * settings.replicates
        if made < asked and sum(map(math.isfinite, means.values())) > 1:
            found.append(f"stratum {stratum} has {made} of {asked} replicates")
        found += [
            f"replicate {run.number} has no score on test"
            for each in runs.values()
            for run in each
            if run.status == "finished" and not run.measure(f"test/{settings.metric}")
        ]
    return found


def _mean(history: History, trial: Trial, runs: Sequence[Trial]) -> float:
    """A finalist's mean of its search and its replicates, smaller where it is better."""
    name = f"validation/{history.settings.metric}"
    values = [one.value(name) if one.status == "finished" else math.nan for one in (trial, *runs)]
    mean = sum(values) / len(values) * (1 if history.settings.mode == "min" else -1)
    return mean if math.isfinite(mean) else math.inf


def _last(store: CheckpointStore, trial: Trial) -> Iterator[str]:
    """An ended trial's last report has an intact checkpoint, whose report history is the ledger's."""
    if trial.open or not trial.reports or trial.reports[-1].checkpoint is None:
        return
    try:
        record = store.load(trial.reports[-1].checkpoint).record
    except DamagedCheckpoint as error:
        yield f"the checkpoint of its last report is not intact: {error}"
        return
    if curve(map(Report.from_dict, record["history"])) != curve(trial.reports):
        yield f"{trial.reports[-1].checkpoint} holds another report history than the ledger"


def _repeated(store: CheckpointStore, trial: Trial, events: Sequence[Event]) -> Iterator[str]:
    """An attempt goes on from the newest checkpoint that was there when it began, or a newer one:
    no more is trained twice.
    """
    published = {name: _written(store, name) for name in store.names()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        intact = {found.name: found.step for found in store.intact(published)} if trial.attempts > 1 else {}
    for event in events:
        if not isinstance(event, Started) or event.trial != trial.number:
            continue
        attempt = event.attempt
        before = [step for name, step in intact.items() if published[name] <= event.time and _attempt(name) < attempt]
        log = f"{attempt_folder(attempt)}/log.txt"
        text = store.folder.read(log).decode() if before and store.folder.exists(log) else ""
        resumed, stepped = _RESUMED.search(text), _FIRST_STEP.search(text)
        if resumed and int(resumed[1]) < max(before):
            yield f"attempt {attempt} went on from step {int(resumed[1])}, and there was one of step {max(before)}"
        elif stepped and int(stepped[1]) <= max(before):
            yield f"attempt {attempt} trained to step {stepped[1]} again, and there was a checkpoint of step {max(before)}"  # noqa: E501


def _attempt(name: str) -> int:
    return int(name.split("/")[0].removeprefix("attempt-"))


def _written(store: CheckpointStore, name: str) -> float:
    """When a checkpoint came to exist, in seconds since the epoch."""
    info = store.folder.files.get_file_info(f"{store.folder.path}/{name}/manifest.json")
    return float(info.mtime_ns) / 1e9
