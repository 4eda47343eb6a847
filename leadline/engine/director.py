"""The director decides what runs next, what a report means, and when the sweep is over.

Ray only places what the director has decided. The director is a fold over the ledger's events, with
an outlet for new ones. Feeding it a recorded ledger brings it to the state that the driver was in,
searcher and rungs included: a sweep is resumed by replay.
"""

from __future__ import annotations

import functools
import math
import textwrap
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from leadline import plain
from leadline.config import BUDGET_FIELDS, ConfigError, TrialConfig, to_dict
from leadline.engine.asha import Asha, Decision
from leadline.engine.failure_causes import Cause, blameless, bystander, cause_of, halved, named, rows_tried
from leadline.engine.observations import Outcome
from leadline.engine.recorded_params import changed, unlike
from leadline.engine.scheduler import Scheduler
from leadline.engine.search import Search, Space, seed_of
from leadline.engine.warning_counts import WarningCounts
from leadline.ledger import leaderboard
from leadline.ledger.confirmed import cut_short
from leadline.ledger.events import (
    Audited,
    BaselineScored,
    Closed,
    Event,
    Failed,
    Judged,
    Kind,
    Noted,
    Opened,
    Proposed,
    Reported,
    Retired,
    Started,
)
from leadline.ledger.history import UNCOUNTED, History, Trial
from leadline.ledger.race import next_runner
from leadline.ledger.reader import uncollected
from leadline.ledger.settings import Settings
from leadline.ledger.tally import Tally
from leadline.ledger.wording import REPEATS, last_line, spans
from leadline.ledger.worth import LEAST_FINISHED, LEAST_RUNS, MORE_TRIALS, worth
from leadline.measure import Measure, Report
from leadline.plain import plural

__all__ = ["MOVED", "Assignment", "Director"]

SEARCH_SEEDS = 1
"""Sets the seed of the search trials apart from the other seeds of a sweep."""
REPLICATE_SEEDS = 2
"""Sets the seeds of confirmation runs apart from the other seeds of a sweep."""
MOVED = "moved"
"""Marks a news line: the attempt was ended because its node is being reclaimed."""
MOST_NODES = 10
"""After this many excused losses, an attempt that dies with its node before its first report counts
as a failure."""

MOST_REPEATS = 50
"""The number of repeated proposals after which `Director.next` returns while trials run."""


@dataclass(frozen=True)
class Assignment:
    """One attempt at one trial, which is to be placed.

    `config` holds the fields of the configuration, and `test` says whether the test split is
    scored. Reports up to step `known` are recorded already.
    """

    trial: int
    attempt: int
    config: dict[str, Any]
    test: bool
    known: int


class Director:
    """Decides for one sweep.

    Args:
        settings: what was asked for.
        space: the search space.
        record: takes each new event and returns its position in the ledger at once. The caller that
            carries out a decision waits until the event at that position is stored.
    """

    def __init__(
        self,
        settings: Settings,
        space: Space,
        record: Callable[[Event], int | None] = lambda event: None,
    ) -> None:
        self.settings = settings
        self.record = record
        self.history = History()
        self.tally = Tally(self.history)
        """What of the history is asked for often."""
        self.position = 0
        """The ledger position of the last event recorded."""
        self.stopping = ""
        """Why the search ended before its last trial; empty if it did not.

        Finalists are confirmed all the same.
        """
        self.first_step = 0.0
        """When training for this driver's first report began, in seconds since the epoch, or 0."""
        self.news: list[str] = []
        """Faults that guards found, and failures, a line each; whoever prints them empties it."""
        self.halting = ""
        """Why the sweep must stop now, such as a store that refuses; empty if it need not.

        Its trials are not to blame: they stay unfinished.
        """
        self.admits: Callable[[TrialConfig], object] = lambda config: None
        """Raises a ConfigError for a proposal that may not be trained on the sweep's data."""
        self.remarks: list[str] = []
        """What a resumed sweep's user should know before it goes on, a line each.

        Such are a longer budget and a search space that has changed.
        """
        self._finished: list[int] = []
        """Search trials that spent the whole budget, in the order in which they did."""
        self._due: list[int] = []
        """Search trials that spent a shorter budget, not yet judged at the longer one's rungs."""
        self._alike: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
        """The search trials of each stratum and configuration, by number."""
        self._warnings: defaultdict[int, WarningCounts] = defaultdict(WarningCounts)
        """What each trial has warned of so far, by number."""
        self._drawn: dict[tuple[str, str], tuple[str, str]] = {}
        """For each stratum and parameter, two distributions as Optuna's JSON.

        The first is what the last recorded trial drew it from, the second what it is drawn from
        now.
        """
        self._search = {
            str(stratum): Search(
                space,
                settings.scale,
                sampler=settings.sampler,
                seed=seed_of(settings.seed, index),
                startup=settings.startup,
                pinned={**settings.overrides, **settings.dealt(stratum)},
                mode=settings.mode,
                ranked=settings.scheduler != "asha",
            )
            for index, stratum in enumerate(settings.strata)
        }
        self.asha = self._rungs(settings.budget)
        self._scheduler = Scheduler(settings.seed)

    def _rungs(self, budget: int) -> dict[str, Asha]:
        settings = self.settings
        return {
            str(stratum): Asha(settings.grace, settings.reduction, budget, settings.mode) for stratum in settings.strata
        }

    def replay(self, events: Iterable[Event]) -> None:
        """Takes over recorded events. Trials that were running wait for a new attempt."""
        with uncollected():
            for event in events:
                self._fold(event)
        for trial in self.running():
            trial.status = "waiting"
        self.tally.recount()

    def next(self) -> Assignment | Literal["wait", "done"]:
        """The next attempt to place: trials that wait, then new proposals, then confirmation runs.

        A search trial whose configuration is that of an earlier one is stopped instead, and stays
        stopped where that one fails later; if it is proposed once more after that, it is trained.

        Returns:
            the attempt; "wait" where there is none until a running trial ends; "done" where there
            is nothing left to place.
        """
        waiting = self.tally.of("waiting")
        if self.stopping:
            for left in [trial for trial in waiting if trial.kind == "search"]:
                self._judged(left, Decision("stop", self.stopping))
                waiting.remove(left)
        repeats = 0
        while trial := waiting.pop(0) if waiting else self._propose():
            twin = self._twin(trial)
            if twin is None:
                break
            repeats += 1
            self._judged(trial, Decision("stop", f"{REPEATS} trial {twin.number}, which is trained for both"))
            if repeats >= MOST_REPEATS and not waiting and self.running():
                return "wait"  # the caller has running trials to look after
        if trial is None:
            return "wait" if self.running() else "done"
        config = {**trial.trained_config, **self.history.budgeted(trial)}
        return Assignment(trial.number, trial.attempts + 1, config, trial.kind == "replicate", trial.step)

    def _twin(self, trial: Trial) -> Trial | None:
        """The earlier trial that makes it needless to train this one; None if there is none.

        It has the same configuration in the same stratum, and a result of the family's present code
        or the prospect of one. A trial that has begun goes on.
        """
        if trial.kind != "search" or trial.attempts:
            return None
        alike = (self.history.trials[number] for number in self._alike[trial.stratum, trial.identity])
        useful = (
            other
            for other in alike
            if other.status != "failed" and not other.untrained and not leaderboard.other_code(self.history, other)
        )
        first = next(useful, trial)
        return None if first is trial else first

    def running(self) -> list[Trial]:
        """The trials that hold a place now."""
        return self.tally.of("running")

    def started(self, trial: int, attempt: int, workers: int = 1) -> None:
        """Records that an attempt was placed, with so many workers."""
        self._new(Started(trial=trial, attempt=attempt, workers=workers, time=time.time()))

    def reported(self, number: int, report: Report) -> Decision:
        """Takes a report and decides.

        A step that is recorded already is passed over, so that its first value stands.
        """
        trial = self.history.trials[number]
        if not trial.open:
            return Decision("stop", "ended before")
        if report.step <= trial.step:
            return Decision("continue")
        decision = self._decide(trial, report)
        if not self.first_step:
            past = trial.reports[-1] if trial.reports else None
            self.first_step = (
                time.time() - (report.seconds + report.overhead) + (past.seconds + past.overhead if past else 0.0)
            )
        # The history holds what a replay of the ledger would: no values per unit but those of the
        # test split.
        recorded = Report.from_dict(report.to_dict())
        known = {finding.mark for finding in trial.findings if finding.failed}
        new = [finding for finding in report.findings if finding.failed and finding.mark not in known]
        self.news += [f"trial {number}: {finding.mark}: {finding.sentence.rstrip('.')}" for finding in new]
        if decision.action != "continue":
            self._recount(number)
        self._new(
            Reported(trial=number, report=recorded, action=decision.action, reason=decision.reason, time=time.time())
        )
        return decision

    def failed(self, number: int, error: str) -> bool:
        """Records that an attempt ended by an exception or with its machine.

        A trial that did not fit the memory is tried again in smaller micro-batches, while these can
        be halved. Where the store refused, the failure is not counted and the sweep must halt.

        An attempt lost after its first report is not counted either: machines come and go, and a
        trial has finitely many reports. An attempt that brought no report may have been lost
        through its own configuration, which can bring a node down too. So if it is lost with its
        node, or finds no places, it is excused only until the trial has `MOST_NODES` excused
        losses.

        Returns:
            whether the trial is tried again.
        """
        trial = self.history.trials[number]
        if not trial.open:
            return False
        error = plain.text(error, "error")
        cause = cause_of(error)
        tried = trial.trained_config.get("micro_batch", 0)
        smaller: int | str | None = None
        excused = cause == "lost" and (
            len(trial.reports) > trial.earlier or (blameless(error) and trial.excused < MOST_NODES)
        )
        counted = cause not in UNCOUNTED and not excused
        final = counted and trial.failures - trial.excused + 1 > self.settings.max_failures
        if cause == "memory":
            tried = rows_tried(error) or tried
            smaller = halved(tried)
            final = final or smaller is None
            smaller = None if final else smaller
        brief = textwrap.shorten(last_line(error), leaderboard.BRIEF, placeholder=" ...")
        told = f"attempt {trial.attempts} failed ({cause}): {brief}; {_next(cause, final, smaller)}"
        self.news.append(f"trial {number}: {brief.replace('preempted', MOVED, 1) if cause == 'preempted' else told}")
        halvings = trial.cause == "memory" and trial.micro_batch is not None
        if final and cause == "memory" and (halvings or halved(tried) is None) and not bystander(error):
            error = f"infeasible: out of memory with {named(tried)}, the smallest tried\n{error}"
        if cause == "storage":
            self.halting = self.halting or last_line(error).rpartition("StorageError: ")[2]
        self._recount(number)
        self._new(
            Failed(
                trial=number,
                attempt=trial.attempts,
                cause=cause,
                error=error,
                final=final,
                micro_batch=smaller,
                excused=excused,
                time=time.time(),
            )
        )
        return not final

    def baseline(self, stratum: str, name: str, metrics: dict[str, Any]) -> None:
        """Records the measures of a trivial predictor."""
        measures = {label: Measure.from_dict(plain) for label, plain in metrics.items()}
        self._new(BaselineScored(stratum=stratum, name=name, metrics=measures, time=time.time()))

    def finding(self, stratum: str, guard: str, failed: bool, number: float, sentence: str) -> None:
        """Records what an audit of the data found."""
        self._new(
            Audited(guard=guard, stratum=stratum, failed=failed, number=number, sentence=sentence, time=time.time())
        )

    def noted(self, text: str) -> None:
        """Records a remark, such as a damaged file that was passed over."""
        self._new(Noted(text=text, time=time.time()))

    def warned(self, number: int, warnings: Mapping[str, int]) -> None:
        """Takes what a trial has warned of since its last report: how often, by text.

        Each warning is recorded when it first comes, and its count again when the attempt, or the
        driver, ends.
        """
        if not self.history.trials[number].open:
            return
        counts = self._warnings[number]
        for text, times in warnings.items():
            first = counts.add(text, times)
            if (number, first) not in self.history.noted:
                self._new(Noted(text=first, trial=number, count=counts.by_text[first], time=time.time()))
                self.news.append(f"trial {number}: note: {first}")

    def _recount(self, number: int) -> None:
        """Records how often a trial has given each of its warnings, where that has changed."""
        for text, count in self._warnings[number].by_text.items():
            if self.history.noted[number, text] != count:
                self._new(Noted(text=text, trial=number, count=count, time=time.time()))

    def retired(self, trial: int, checkpoints: list[str]) -> None:
        """Records that checkpoints which reports name are not kept any more."""
        self._new(Retired(trial=trial, checkpoints=checkpoints, time=time.time()))

    def opened(self, manifest: dict[str, Any]) -> None:
        """Records that a driver runs the sweep, and where.

        Then it records what changes with a longer budget, another search space or other code of the
        family.
        """
        before = self.history.budget
        # The history holds what a replay of the ledger would: lists where these settings may have
        # tuples.
        recorded = Settings.from_dict(self.settings.to_dict())
        self._new(Opened(settings=recorded, manifest=manifest, time=time.time()))
        due = [self.history.trials[number] for number in self._due]
        for trial in due:
            self._judged(trial, self._rejudge(trial))
        found = [self._extension(due)] if due or 0 < before < self.history.budget else []
        found += dict.fromkeys(changed(name, was, now) for (_, name), (was, now) in self._drawn.items() if was != now)
        found += self._other_code()
        for remark in [remark for remark in found if (None, remark) not in self.history.noted]:
            self.noted(remark)
            self.remarks.append(remark)

    def closed(self, how: str) -> None:
        """Records how this driver ended, and before that what the running trials have warned of."""
        for trial in self.running():
            self._recount(trial.number)
        self._new(Closed(how=how, time=time.time()))

    def _new(self, event: Event) -> None:
        self.position = self.record(event) or 0
        self._fold(event, live=True)

    def _fold(self, event: Event, live: bool = False) -> None:
        """Takes one event into history, searcher and rungs.

        A live event has passed through searcher and rungs when it was made, so it goes to the
        history alone.
        """
        before = self.history.budget
        if isinstance(event, Proposed) and not live and event.kind == "search":
            self._replay_proposal(event)
        if isinstance(event, Judged) and not live and event.trial in self._due:
            self._rejudge(self.history.trials[event.trial])
        if isinstance(event, Noted) and not live and event.trial is not None:
            counted = self.history.noted.get((event.trial, event.text), 0)
            self._warnings[event.trial].add(event.text, (event.count or 1) - counted)
        self.history.apply(event)
        self.tally.take(event)
        if isinstance(event, Proposed) and event.kind == "search" and not event.infeasible:
            self._alike[event.stratum, self.history.trials[event.trial].identity].append(event.trial)
        if isinstance(event, Reported) and not live:
            self._decide(self.history.trials[event.trial], event.report)
        if isinstance(event, Reported):
            self._observe(self.history.trials[event.trial], event.report)
        if isinstance(event, Opened):
            self._adopt(before)
        if isinstance(event, Judged) and event.trial in self._due:
            self._due.remove(event.trial)
        if isinstance(event, (Proposed, Reported, Judged, Failed)) and not self.history.trials[event.trial].open:
            self._ended(self.history.trials[event.trial])

    def _ended(self, trial: Trial) -> None:
        if trial.kind != "search":
            return
        self._tell(trial)
        if trial.status == "finished":
            self._finished.append(trial.number)
            self._check_target(trial)
            self._check_worth()
            at = self.asha[trial.stratum].judged(trial.number)
            self._scheduler.finished(trial.stratum, at, trial.value(leaderboard.metric_name(self.settings.metric)))

    def _spares(self, trial: int, rung: int) -> str:
        """Why a trial is not stopped at a rung; empty where it may be."""
        settings, off = self.history.settings, self.history.unstopped
        if off and settings.scheduler == "weighed":
            return off.text  # what an earlier version recorded holds
        return self._scheduler.spares(settings.scheduler, trial, rung, settings.rungs, settings.budget)

    def _adopt(self, before: int) -> None:
        """Takes over the settings of an opening.

        With a budget longer than `before`, trials that had finished are to go on; with another
        target, the search ends at another point.
        """
        if not before:
            self.asha = self._rungs(self.history.budget)
        elif before < self.history.budget:
            for asha in self.asha.values():
                asha.extend(self.history.budget)
            self._due += self._finished
            self._finished = []
            self._scheduler = Scheduler(self.settings.seed)
            for stratum, search in self._search.items():
                search.observations.reopened([n for n in self._due if self.history.trials[n].stratum == stratum])
        self.stopping = ""
        for number in self._finished:
            self._check_target(self.history.trials[number])
        self._check_worth()

    def _rejudge(self, trial: Trial) -> Decision:
        """Judges a trial's last value at the rungs that a longer budget has added."""
        last = trial.reports[-1]
        value = trial.value(leaderboard.metric_name(self.settings.metric))
        spent = self.settings.spent(last)
        budget = self.history.budget
        decision = self._at_rungs(trial, spent, value)
        if decision.action == "stop":
            return Decision("stop", f"{decision.reason}; it stays at {spent}, as the budget was raised to {budget}")
        return Decision("continue", "; ".join(filter(None, [decision.reason, f"goes on from {spent} to {budget}"])))

    def _at_rungs(self, trial: Trial, spent: int, value: float) -> Decision:
        asha = self.asha[trial.stratum]
        spared = functools.partial(self._spares, trial.number)
        return asha.report(trial.number, spent, value, judged_from=trial.judged_from, spared=spared)

    def _judged(self, trial: Trial, decision: Decision) -> None:
        """Records a decision on a trial that waits, made without a new report."""
        self._new(Judged(trial=trial.number, action=decision.action, reason=decision.reason, time=time.time()))

    def _extension(self, due: list[Trial]) -> str:
        on = [trial for trial in due if trial.open]
        going = plural(len(on), "goes on from its checkpoint", "go on from their checkpoints")
        return (
            f"the budget is now {self.history.budget} {self.settings.unit}: of {plural(len(due), 'trial')} that had "
            f"finished a shorter one, {going}; schedules and curricula are "
            "fractions of a budget, so that an extended trial is not the same as one that begins with the "
            "longer budget: it is marked"
        )

    def _other_code(self) -> list[str]:
        """Says which trials were trained by other code of the family, if any were."""
        trials = [trial.number for trial in self.history.trials.values() if leaderboard.other_code(self.history, trial)]
        words = "trained by other code of the family than it has now, and marked on the leaderboard: trial"
        return [f"{words}{'s' if len(trials) > 1 else ''} {spans(trials)}"] if trials else []

    def _replay_proposal(self, event: Proposed) -> None:
        number = event.trial
        stratum = event.stratum
        was = event.config
        search = self._search[stratum]
        fields = search.replay(number, event.params, feasible=not event.infeasible)
        for name, now in search.observations.distributions(number).items():
            self._drawn[stratum, name] = (event.distributions.get(name, now), now)
        if not event.infeasible and any(was.get(name) != value for name, value in fields.items()):
            family = self.settings.model_family()
            typed = to_dict(family.config({**was, **fields}))
            made = {name: typed[name] for name in fields if name not in (*BUDGET_FIELDS, "seed")}
            unlike(number, was if made.keys() <= was.keys() else to_dict(family.config(was)), made)

    def _decide(self, trial: Trial, report: Report) -> Decision:
        name = leaderboard.metric_name(self.settings.metric)
        # A report of a part of validation has nothing that a trial is judged by.
        value = report.value(name) if report.whole else None
        if trial.kind == "search":
            spent = self.settings.spent(report)
            decision = Decision("continue") if value is None else self._at_rungs(trial, spent, value)
            return Decision("stop", self.stopping) if decision.action == "continue" and self.stopping else decision
        if value is not None and not math.isfinite(value):
            return Decision("stop", f"step {report.step}: the objective is {value}")
        if self.settings.spent(report) >= self.history.budget:
            return Decision("finish", "budget reached")
        return Decision("continue")

    def _observe(self, trial: Trial, report: Report) -> None:
        if trial.kind == "search" and report.whole:
            value = report.value(leaderboard.metric_name(self.settings.metric))
            self._search[trial.stratum].observations.reported(trial.number, self.settings.spent(report), value)

    def _tell(self, trial: Trial) -> None:
        outcome: Outcome = "failed"
        if trial.status == "finished":
            outcome = "finished"
        elif trial.infeasible:
            outcome = "infeasible"
        elif trial.status == "stopped" and not trial.untrained:
            # The searcher learns nothing from a trial that never ran.
            outcome = "stopped"
        self._search[trial.stratum].observations.ended(trial.number, outcome)

    def _check_target(self, trial: Trial) -> None:
        target = self.history.settings.target
        if target is None or self.stopping:
            return
        value = trial.value(leaderboard.metric_name(self.settings.metric))
        if value <= target if self.settings.mode == "min" else value >= target:
            self.stopping = f"target {target:g} reached by trial {trial.number} with {value:.4g}"

    def _check_worth(self) -> None:
        """Ends the search where more trials of no stratum are expected to bring what was asked."""
        until = self.history.settings.until
        if until is None or self.stopping:
            return
        found = [worth(self.history, str(stratum)) for stratum in self.settings.strata]
        known = [one for one in found if one is not None]
        if len(known) == len(found) and all(one.gain < (one.detectable if until == "told" else until) for one in known):
            gain = max(one.gain for one in known)
            least = "the confirmation can tell apart" if until == "told" else f"the {until:g} asked for"
            self.stopping = f"{MORE_TRIALS} more trials are expected to bring at most {gain:.3g}, less than {least}"

    def _propose_scout(self) -> Trial | None:
        """A replicate of a leading trial during the search, where its end depends on their scatter.

        In each stratum the first trial that leads once enough have finished gets as many replicates
        as it takes to know the scatter of seeds.
        """
        if self.stopping or self.history.settings.until != "told":
            return None
        for stratum in self._search:
            trials = [trial for trial in self.history.search_trials() if trial.stratum == stratum]
            runs = [trial for trial in trials if self.tally.runs(trial.number)]
            leading = runs[:1] or leaderboard.finalists(self.history, stratum, 1)
            if sum(trial.status == "finished" for trial in trials) >= LEAST_FINISHED and leading:
                done = len(self.tally.runs(leading[0].number))
                if done < min(LEAST_RUNS, self.settings.replicates):
                    return self._replicate(leading[0], done)
        return None

    def _replicate(self, of: Trial, done: int) -> Trial:
        """Proposes and records the next replicate of a trial."""
        config = {**of.trained_config, "seed": seed_of(self.settings.seed, REPLICATE_SEEDS, done)}
        return self._record_proposal(len(self.history.trials), of.stratum, "replicate", of.number, {}, config)

    def _propose(self) -> Trial | None:
        if scout := self._propose_scout():
            return scout
        while not self.stopping and (index := self.tally.searched.total()) < self.settings.trials:
            trial = self._propose_search(len(self.history.trials), index)
            if trial is not None:
                return trial
        return self._propose_replicate()

    def _propose_search(self, number: int, index: int) -> Trial | None:
        """Proposes and records trial `number`.

        Returns None where its configuration is impossible, which is recorded too.
        """
        given = dict(self.settings.enqueue[index]) if index < len(self.settings.enqueue) else {}
        stratum = given.pop(self.settings.stratify, None) if self.settings.stratify else None
        stratum = self._dealt_next() if stratum is None else next(s for s in self.settings.strata if s == stratum)
        search = self._search[str(stratum)]
        fields = dict(given)
        try:
            asked, found = search.ask(number, given)
            fields = found | {name: value for name, value in given.items() if name not in asked}
            made = self.settings.configure(fields, stratum, seed_of(self.settings.seed, SEARCH_SEEDS))
            self.admits(made)
            config, judged_from = to_dict(made), self.settings.judged_from(made)
        except ConfigError as error:
            params = search.observations.params(number)
            self._record_proposal(number, str(stratum), "search", None, params, fields, infeasible=str(error))
            return None
        params = search.observations.params(number)
        return self._record_proposal(number, str(stratum), "search", None, params, config, judged_from=judged_from)

    def _dealt_next(self) -> Any:
        """The first stratum with the fewest trials; enqueued trials count for their stratum."""
        return min(self.settings.strata, key=lambda stratum: self.tally.searched[str(stratum)])

    def _propose_replicate(self) -> Trial | None:
        """The next confirmation run of a stratum whose search has ended; None if there is none."""
        ongoing = self.running() + ([] if self.stopping else self.tally.of("waiting"))
        searched = {trial.stratum for trial in ongoing if trial.kind == "search"}
        for stratum in [stratum for stratum in leaderboard.strata(self.history) if stratum not in searched]:
            racers = self.tally.racers(stratum)
            place = next_runner(racers, leaderboard.paid(self.history, racers), self.settings.replicates)
            if place is not None:
                finalist = self.tally.field(stratum)[place]
                runs = self.tally.runs(finalist.number)
                if run := next((run for run in runs if cut_short(self.history, run)), None):
                    reason = f"trial {finalist.number} is a finalist at {self.history.budget} too"
                    self._judged(run, Decision("continue", reason))
                    return run
                return self._replicate(finalist, len(runs))
        return None

    def _record_proposal(
        self,
        number: int,
        stratum: str,
        kind: Kind,
        of: int | None,
        params: dict[str, Any],
        config: dict[str, Any],
        infeasible: str = "",
        judged_from: float = 0.0,
    ) -> Trial:
        self._new(
            Proposed(
                trial=number,
                stratum=stratum,
                kind=kind,
                of=of,
                params=params,
                config=config,
                distributions=self._search[stratum].observations.distributions(number) if kind == "search" else {},
                infeasible=infeasible,
                judged_from=judged_from,
                time=time.time(),
            )
        )
        return self.history.trials[number]


def _next(cause: Cause, final: bool, smaller: int | str | None) -> str:
    """What follows on a failure, in words."""
    if final or cause == "storage":
        return "given up" if final else "it goes on when the sweep is resumed"
    return f"tried again with {named(smaller)}" if smaller is not None else "tried again"
