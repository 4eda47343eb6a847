"""Runs a study from its command line to its leaderboard."""

from __future__ import annotations

import gc
import os
import shutil
import signal
import statistics
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import psutil
from rich.console import Console

from sweeps.engine import environment, options, plan
from sweeps.engine.director import Director
from sweeps.engine.display import Display
from sweeps.engine.manifest import manifest
from sweeps.engine.study import Settings, Study
from sweeps.ledger import leaderboard, tensorboard
from sweeps.ledger.history import History
from sweeps.ledger.segments import Ledger, LedgerError, read
from sweeps.ledger.table import leaderboard_table
from trainables.config import ConfigError, make
from trainables.storage import Folder

__all__ = ["main", "run"]

DONE, FAILED, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130


def main(study: Study, manual: str = "", arguments: Sequence[str] | None = None) -> None:
    """The whole of a sweep script: exits with 0 done, 1 failed, 2 bad input, 130 interrupted.

    Args:
        study: what the script asks.
        manual: its docstring, shown by `--help`.
        arguments: the command line; None for the process's own.
    """
    try:
        code = run(study, manual, sys.argv[1:] if arguments is None else arguments)
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        code = BAD_INPUT
    except KeyboardInterrupt:
        code = INTERRUPTED
    sys.stdout.flush()
    gc.freeze()  # or the interpreter spends a second on collecting what Ray and torch leave behind
    sys.exit(code)


def run(study: Study, manual: str, arguments: Sequence[str]) -> int:
    """Runs a sweep and returns its exit code.

    Raises:
        ConfigError: for bad input, before anything is started or written.
    """
    request = options.parse(study, arguments, manual)
    storage = Folder.at(request.storage)
    recorded = _recorded(storage, request.resume) if request.resume else []
    if request.resume:
        settings = options.resumed_settings(Settings.from_dict(History.of(recorded).settings), study, request)
        _check_extension(settings, History.of(recorded), request.resume)
        name = request.resume
    else:
        settings = options.settings(study, request)
        name = _free_name(storage, request.name, study.name)
    if not request.dry_run:
        _check_writable(storage)
    plan.check_fits(settings, study.space, storage)
    if request.dry_run:
        print(plan.describe(settings, study.space))
        return DONE
    return _Run(study, settings, storage / name, name, _resume_command(study, request.storage, name)).go()


def _resume_command(study: Study, storage: str, name: str) -> str:
    where = "" if storage == "results" else f" --storage '{storage}'"
    return f"python sweeps/{study.name}.py --resume {name}{where}"


def _recorded(storage: Folder, name: str) -> list[dict[str, Any]]:
    try:
        events = read(storage / name / "ledger")
    except LedgerError as error:
        there = ", ".join(storage.folders()) or "none"
        raise ConfigError(f"resume: no sweep {name} in {storage} ({error}); sweeps there: {there}") from None
    if not events:
        raise ConfigError(f"resume: {name} in {storage} holds no event yet; begin it anew under another name")
    return events


def _check_extension(settings: Settings, history: History, name: str) -> None:
    proposed = len(history.search_trials())
    if settings.trials < proposed:
        raise ConfigError(f"trials: {settings.trials} are fewer than the {proposed} that {name} has proposed already")


def _free_name(storage: Folder, asked: str | None, study: str) -> str:
    name = asked or f"{study}-{time.strftime('%Y%m%d-%H%M%S')}"
    if (storage / name).exists():
        raise ConfigError(f"name: {name} exists in {storage}; go on with it by --resume {name}, or choose another name")
    return name


def _check_writable(storage: Folder) -> None:
    try:
        storage.write(".writable", b"")
        storage.files.delete_file(f"{storage.path}/.writable")
    except OSError as error:
        raise ConfigError(f"storage: cannot write to {storage}: {error}") from None


class _Run:
    """One driver's life: opens the ledger, starts Ray, places trials, closes the books."""

    def __init__(self, study: Study, settings: Settings, folder: Folder, name: str, resume: str) -> None:
        self.settings, self.folder, self.name, self.resume = settings, folder, name, resume
        self.console = Console() if sys.stdout.isatty() else Console(width=160)
        self.ledger = Ledger(folder / "ledger")
        self.director = Director(settings, study.space, self.ledger.append, self.ledger.commit)
        self.director.replay(self.ledger.past)
        self.interrupts = 0
        self.began = _process_start()
        self.marks: dict[str, float] = {"start of Python, imports and checks": time.time()}

    def go(self) -> int:
        """Runs to the end and returns the exit code."""
        self._say(f"sweep {self.name} in {self.folder}")
        for warning in plan.warnings_of(self.settings):
            self._say(f"note: {warning}")
        self.director.opened(manifest())
        scratch = tempfile.mkdtemp(prefix="leadline-")
        before = self._take_signals()
        how = "failed"
        try:
            how = self._train(scratch)
        except KeyboardInterrupt:
            how = "interrupted"
        except Exception:
            self._say(traceback.format_exc())
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
        # Ray takes its time to stop and the views to be written: they need nothing of each other.
        stopping = threading.Thread(target=_stop_ray, args=(scratch,), name="stop-ray")
        stopping.start()
        try:
            return self._end(how)
        finally:
            stopping.join()

    def _train(self, scratch: str) -> str:
        """Places all trials. Returns how it ended: done, failed, interrupted or time limit."""
        shelf = _Shelf(self.director)
        preparing = threading.Thread(target=shelf.prepare, name="data")
        preparing.start()
        environment.prepare()
        from sweeps.engine import tune

        tune.start_ray(*self._resources(), temporary=scratch)
        self._take_signals()  # again: Ray has put its own handlers in place
        self.marks["Ray"] = time.time()
        preparing.join()
        if not shelf.ready():
            return "failed"
        self.marks["data and baselines"] = time.time()
        display = Display(self.director, self.name, self.console)
        placement = tune.Placement(self.director, self.folder, shelf.reference, lambda: self._tick(display))
        self.placement = placement
        try:
            placement.run(scratch)
        finally:
            display.close()
        if self.interrupts:
            return "interrupted"
        return "time limit" if placement.halt else "done"

    def _resources(self) -> tuple[int, int]:
        """CPUs and GPUs that Ray may use: what the trials of this sweep need, no more."""
        settings = self.settings
        cpus = settings.concurrent * settings.cpus_per_trial * settings.workers_per_trial
        gpus = settings.concurrent * settings.gpus_per_trial * settings.workers_per_trial
        return max(1, round(cpus + 0.49)), round(gpus + 0.49) if gpus else 0

    def _tick(self, display: Display) -> None:
        display.tick()
        limit = self.settings.time_limit
        if limit is not None and time.time() - self.began > limit:
            self.placement.halt = True

    def _take_signals(self) -> dict[int, Any]:
        """SIGTERM, which spot nodes and schedulers send, is treated as Ctrl-C. Returns the handlers before."""
        return {number: signal.signal(number, self._interrupt) for number in (signal.SIGINT, signal.SIGTERM)}

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        self.interrupts += 1
        if self.interrupts > 1 or not hasattr(self, "placement"):
            raise KeyboardInterrupt
        self.placement.halt = True
        print("\nstopping; once more to stop at once", file=sys.stderr)

    def _end(self, how: str) -> int:
        """Closes the ledger, writes the views and says how it went."""
        history = self.director.history
        failed = [trial for trial in history.search_trials() if trial.status == "failed"]
        if how == "done" and failed and len(failed) == len(history.search_trials()):
            how = "failed"
        try:
            self.director.closed(how)
            self.ledger.close()
        except LedgerError as error:
            self._say(f"{error}")
            how = "failed"
        self._views(history)
        if how == "failed":
            self._explain(failed)
        if how == "interrupted":
            self._say(f"interrupted; go on with: {self.resume}")
        if how == "time limit":
            self._say(f"time limit reached; go on with: {self.resume} --time-limit TIME")
        return {"failed": FAILED, "interrupted": INTERRUPTED}.get(how, DONE)

    def _views(self, history: History) -> None:
        """Everything here can be rebuilt from the ledger: a failure is said, and costs nothing."""
        if not history.trials:
            return
        self.console.print(leaderboard_table(history, self.name))
        for line in [*self._best(history), *self._timing(history)]:
            self._say(line)
        if self.director.stopping:
            self._say(self.director.stopping)
        self._attempt("TensorBoard files", lambda: tensorboard.write(history, self.folder / "tensorboard"))
        self._attempt("report", self._report)
        self._say(f"sweep        {self.folder}")

    def _report(self) -> None:
        from analysis import report

        self._say(f"report       {report.write(self.folder, self.name)}")

    def _attempt(self, what: str, action: Callable[[], None]) -> None:
        try:
            action()
        except Exception as error:
            self._say(f"{what} could not be written ({error!r}); everything is in the ledger")

    def _best(self, history: History) -> list[str]:
        found = []
        for stratum in leaderboard.strata(history):
            for trial in leaderboard.finalists(history, stratum, 1):
                where = f"{self.settings.stratify} {stratum}: " if self.settings.stratify else ""
                found.append(
                    f"best         {where}trial {trial.number}, {self.folder}/trials/{trial.number:04d}/{trial.reports[-1].checkpoint}"
                )
        return found

    def _timing(self, history: History) -> list[str]:
        """Seconds from command to first step, and per trial beyond training, each with its parts."""
        whole = [trial for trial in history.trials.values() if trial.reports and not trial.open and trial.attempts == 1]
        lines = []
        first = self.director.first_step
        if first:
            parts, before = [], self.began
            for what, moment in [*self.marks.items(), ("first trial's process", first)]:
                parts.append(f"{what} {moment - before:.1f}")
                before = moment
            lines.append(f"first step   after {first - self.began:.1f} s: {', '.join(parts)}")
        if whole:
            training = statistics.mean(trial.reports[-1].seconds for trial in whole)
            overhead = statistics.mean(trial.reports[-1].overhead for trial in whole)
            wall = statistics.mean(trial.wall for trial in whole)
            lines.append(
                f"per trial    {wall:.2f} s: training {training:.2f}, evaluating and saving {overhead:.2f}, "
                f"placing and deciding {max(0.0, wall - training - overhead):.2f} (mean of {len(whole)})"
            )
        return lines

    def _explain(self, failed: list[Any]) -> None:
        self._say(f"the sweep failed; go on with: {self.resume}")
        for trial in failed[:1]:
            last = trial.reason.strip().splitlines()[-1] if trial.reason.strip() else "no reason recorded"
            self._say(f"trial {trial.number}: {last}; see {self.folder}/trials/{trial.number:04d} and the ledger")

    def _say(self, text: str) -> None:
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)


class _Shelf:
    """The data of a sweep: built once per key, audited, measured by trivial predictors, shared through the object store."""

    def __init__(self, director: Director) -> None:
        self._director, self._settings = director, director.settings
        self._family = director.settings.model_family()
        self._built: dict[str, Any] = {}
        self._references: dict[str, tuple[Any, bytes]] = {}
        self._lines: list[tuple[str, str, dict[str, Any]]] = []
        self._findings: list[tuple[str, Any]] = []
        self._error: BaseException | None = None

    def prepare(self) -> None:
        """Builds and measures; runs while Ray starts. What it finds is recorded by `ready`."""
        try:
            known = {line.stratum for line in self._director.history.baselines}
            for stratum in self._settings.strata:
                config = self._settings.configure({}, stratum, 0)
                data = self._data(config, str(stratum))
                if str(stratum) not in known:
                    self._measure(config, data, str(stratum))
        except Exception as error:
            self._error = error

    def ready(self) -> bool:
        """Records baselines and findings; False, said aloud, if an audit failed.

        Raises:
            Exception: what building the data raised.
        """
        if self._error is not None:
            raise self._error
        known = {(line["guard"], line["sentence"]) for line in self._director.history.findings}
        for stratum, finding in self._findings:
            if (finding.guard, finding.sentence) in known:
                continue
            self._director.finding(stratum, finding.guard, finding.failed, finding.number, finding.sentence)
        for stratum, name, metrics in self._lines:
            self._director.baseline(stratum, name, metrics)
        failures = [finding for _, finding in self._findings if finding.failed]
        for finding in failures:
            print(f"refused by the {finding.guard} audit: {finding.sentence}", file=sys.stderr)
        return not failures

    def reference(self, config: dict[str, Any]) -> tuple[str, bytes]:
        """The key of a configuration's data and its pickled reference in Ray's object store."""
        import ray

        typed = make(self._family.Config, config, self._family.name)
        key = self._family.data_key(typed)
        if key not in self._references:
            reference = ray.put(self._data(typed, ""))
            self._references[key] = (reference, ray.cloudpickle.dumps(reference))  # type: ignore[no-untyped-call]
        return key, self._references[key][1]

    def _data(self, config: Any, stratum: str) -> Any:
        key = self._family.data_key(config)
        if key not in self._built:
            self._built[key] = self._family.build_data(config)
            self._findings += [(stratum, finding) for finding in self._family.audit(config, self._built[key])]
        return self._built[key]

    def _measure(self, config: Any, data: Any, stratum: str) -> None:
        scores: dict[str, dict[str, Any]] = {}
        for split in ("validation", "test"):
            for name, measures in self._family.baselines(config, data, split).items():
                scores.setdefault(name, {}).update({f"{split}/{metric}": measure.to_dict() for metric, measure in measures.items()})
        self._lines += [(stratum, name, metrics) for name, metrics in scores.items()]


def _stop_ray(scratch: str) -> None:
    if "ray" in sys.modules:
        import ray

        ray.shutdown()
    shutil.rmtree(scratch, ignore_errors=True)


def _process_start() -> float:
    """When this process started, in seconds since the epoch. psutil's figure rests on a boot time in whole seconds."""
    try:
        ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, AttributeError, ValueError):
        return psutil.Process().create_time()
    return time.time() - age
