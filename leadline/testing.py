"""The contract suite: what any model family, of this package or of another, must do to be swept.

    class TestCollatz(FamilyContract):
        family = COLLATZ
        small = {"layers": "16", "steps": 60, "eval_every": 20}
        bad = [{"layers": "16,0"}, {"lookahead": 0}]
        learns = ({"steps": 400}, "hinge", "ln n")

in a test module is all that it takes; pytest then runs the inherited tests, about a minute for a
small family. A test that fails says in its assertion which method of the family owes what.

Why so strict: a sweep's ledger is worth something only if a trial that was killed and resumed is
the same trial. So runs are compared bit for bit, and processes are killed at random instants.

This module alone of the package imports pytest, which the extra `leadline[test]` installs, and
nothing else of the package imports this module.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import inspect
import itertools
import json
import math
import multiprocessing
import os
import pickle
import random
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FrameType, UnionType
from typing import Annotated, Any, ClassVar, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np
import pytest
import torch

from leadline.admission import SCORED, admission, built, is_oracle
from leadline.checkpoint import Checkpoint, CheckpointStore
from leadline.config import ConfigError, TrialConfig, as_text, describe
from leadline.family import Family
from leadline.measure import Report, sign
from leadline.storage import Folder, _Tries
from leadline.task import Task
from leadline.training.loop import Loop
from leadline.training.validation import order

__all__ = ["FamilyContract", "Outcome", "curve", "digest", "shared", "train", "training_state"]

CPU = torch.device("cpu")
WHOLE = {"validation_share": 1e9}
"""So that all of validation is scored, however slow the machine: of a part, reports differ."""
MACHINE = ("throughput", "memory", "validation_cost")
"""Guards whose findings are about the machine, so that two equal runs may differ in them."""


def digest(state: Any) -> str:
    """sha256 of nested mappings, sequences, tensors, arrays and plain values, in hexadecimal.

    Bit-exact: 0.0 and -0.0 differ, as do float32 and float64, or shapes [2, 3] and [3, 2]. The
    order in which a mapping was filled does not count, and a tuple equals a list.

    Raises:
        TypeError: for a value of any other type.
    """
    found = hashlib.sha256()
    for part in _parts(state):
        found.update(len(part).to_bytes(8, "big") + part)
    return found.hexdigest()


def _parts(value: Any) -> Iterable[bytes]:
    """The value as byte strings, each container's length before its content."""
    if isinstance(value, Mapping):
        yield f"mapping {len(value)}".encode()
        for key in sorted(value, key=lambda key: (type(key).__name__, repr(key))):
            yield from (*_parts(key), *_parts(value[key]))
    elif isinstance(value, list | tuple):
        yield f"sequence {len(value)}".encode()
        for item in value:
            yield from _parts(item)
    elif isinstance(value, torch.Tensor):
        flat = value.detach().cpu().contiguous().reshape(-1)
        yield from (f"{value.dtype} {tuple(value.shape)}".encode(), flat.view(torch.uint8).numpy().tobytes())
    elif isinstance(value, np.ndarray | np.generic):
        yield from (f"numpy {value.dtype.str} {value.shape}".encode(), value.tobytes())
    elif value is None or isinstance(value, bool | int | float | complex | str | bytes):
        yield f"{type(value).__name__} {value!r}".encode()
    else:
        raise TypeError(f"digest: {type(value).__name__} is not plain data")


def training_state(checkpoint: Checkpoint) -> dict[str, Any]:
    """Returns all that training goes on from, to be compared bit for bit.

    Wall-clock times are left out, and so are guards and what is scored, which train nothing.
    """
    counts = {
        name: count
        for name, count in checkpoint.state["counts"].items()
        if name not in ("seconds", "overhead", "guarding")
    }
    trained = {name: part for name, part in checkpoint.state.items() if name not in ("guards", "validation")}
    return {**trained, "counts": counts}


def curve(reports: Iterable[Report]) -> list[dict[str, Any]]:
    """Returns reports as plain values, to be compared with those of another run.

    Left out is what depends on the clock or the memory, and the names of the checkpoints, which say
    in which attempt they were written.
    """
    left_out = ("seconds", "overhead", "checkpoint")
    found = [{name: value for name, value in report.to_dict().items() if name not in left_out} for report in reports]
    for plain in found:
        for machine in ("guards_share", "scoring_share", "gpu_memory"):
            plain["facts"].pop(machine, None)
        plain["findings"] = [finding for finding in plain["findings"] if finding["guard"] not in MACHINE]
    return found


@dataclass(frozen=True)
class Outcome:
    """A finished run.

    Attributes:
        reports: all of its reports, in order.
        checkpoint: its newest checkpoint.
        calls: how many calls the package's and the family's code made on the way; 0 where they were
            not counted.
    """

    reports: list[Report]
    checkpoint: Checkpoint
    calls: int

    def same_as(self, other: Outcome) -> bool:
        """Whether reports and training state are equal, bit for bit."""
        return curve(self.reports) == curve(other.reports) and self.digest == other.digest

    @property
    def digest(self) -> str:
        """The digest of the training state."""
        return digest(training_state(self.checkpoint))


class _Calls:
    """Counts the calls of this package and the family, and dies by SIGKILL at number `fatal`.

    A count, unlike a clock, makes an instant repeatable: between any two tensor operations, or in
    the middle of a checkpoint, which is written in a thread of its own while this one waits. How
    often it looks up from waiting depends on the disk, and is not counted.
    """

    WAITING = _Tries.next.__code__

    def __init__(self, family: Family[Any], fatal: int = 0) -> None:
        """Prepares to count; the counting begins with `with`."""
        self.owners = {__name__.partition(".")[0], type(family).__module__.partition(".")[0]}
        self.fatal = fatal
        self.count = 0
        self._numbers = itertools.count(1)
        self._owned: dict[CodeType, bool] = {}
        """Whether code is the package's or the family's, as far as it was met."""

    def __enter__(self) -> _Calls:
        self.before = sys.getprofile(), threading.getprofile()
        threading.setprofile(self._called)
        sys.setprofile(self._called)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(self.before[0])
        threading.setprofile(self.before[1])

    def _called(self, frame: FrameType, event: str, _: Any) -> None:
        # This is called for each call and return of any code, so what others do is left at once.
        owned = self._owned.get(frame.f_code)
        if owned is None:
            owned = str(frame.f_globals.get("__name__")).partition(".")[0] in self.owners
            self._owned[frame.f_code] = owned
        if not owned or not event.endswith("call"):
            return
        above = frame.f_back.f_code if frame.f_back else None
        if self.WAITING in (frame.f_code, above):
            return
        self.count = number = next(self._numbers)
        if number == self.fatal:
            os.kill(os.getpid(), signal.SIGKILL)


def train(
    family: Family[Any], config: TrialConfig, data: Any, store: CheckpointStore, *, fatal: int = 0, count: bool = False
) -> Outcome:
    """Trains to the end of the budget, from the store's newest checkpoint if there is one.

    Args:
        family: the family.
        config: the configuration; `config.steps` is the budget.
        data: what `family.build_data` returned.
        store: where checkpoints go, and where the newest one is looked for.
        fatal: the call, counted from 1, at which this process is killed by SIGKILL; 0 for none.
        count: whether calls are counted, which takes many times as long as the training.
    """
    loop = Loop(family, config, data, store=store)
    calls = _Calls(family, fatal)
    with calls if count or fatal else contextlib.nullcontext():
        reports = list(loop.run())
    checkpoint = store.newest()
    assert checkpoint is not None, "a finished run has left no checkpoint"
    return Outcome(reports, checkpoint, calls.count)


def _life(family: Family[Any], config: Mapping[str, Any], folder: str, attempt: int, threads: int, fatal: int) -> None:
    """Trains in a process of its own, which dies at call `fatal`, or lives where that is 0."""
    torch.set_num_threads(threads)
    typed = family.config(config)
    train(family, typed, family.build_data(typed), CheckpointStore(Folder.at(folder), attempt), fatal=fatal)


def _exit_code(target: Callable[..., None], *arguments: Any) -> int:
    """Runs a function in a process of its own and returns the exit code of that."""
    # Not fork, as torch's threads may hold locks; nor spawn, which would import torch each time,
    # and with the first optimizer torch._dynamo, which takes as long again.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, "torch._dynamo"])
    process = context.Process(target=target, args=arguments)
    process.start()
    process.join()
    assert process.exitcode is not None
    return process.exitcode


class _Fatal(CheckpointStore):
    """Kills its process by SIGKILL once its second checkpoint is published and not yet reported."""

    publications = 2

    def publish(self, step: int, state: Mapping[str, Any], record: Mapping[str, Any]) -> str:
        name = super().publish(step, state, record)
        self.publications -= 1
        if not self.publications:
            os.kill(os.getpid(), signal.SIGKILL)
        return name


def _untold(family: Family[Any], config: Mapping[str, Any], folder: str, threads: int, told: str) -> None:
    """Trains until it dies between publishing and reporting; `told` gets the reported steps."""
    torch.set_num_threads(threads)
    typed = family.config(config)
    for report in Loop(family, typed, family.build_data(typed), store=_Fatal(Folder.at(folder))).run():
        with open(told, "a") as listener:
            listener.write(f"{report.step}\n")


def _imported(module: str, told: str) -> None:
    """Imports a module, and what it needs of this package and its own, as if for the first time.

    `told` gets which of the engine's packages that has imported.
    """
    engine = {"ray", "optuna"}
    anew = {*engine, __name__.partition(".")[0], module.partition(".")[0]}
    for name in [name for name in sys.modules if name.partition(".")[0] in anew]:
        del sys.modules[name]
    importlib.import_module(module)
    with open(told, "w") as listener:
        listener.write(" ".join(sorted(engine.intersection(sys.modules))))


def _rates(task: Task) -> list[float]:
    return [float(group["lr"]) for optimizer in task.optimizers for group in optimizer.param_groups]


def _disturb(seed: int) -> None:
    """Sets all global generators, as other random work in this process would."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def shared(data: Any) -> Any:
    """Returns the data as trials get it: through pickle, with arrays that nobody may write to."""
    buffers: list[pickle.PickleBuffer] = []
    content = pickle.dumps(data, protocol=5, buffer_callback=buffers.append)
    owned = [bytes(buffer.raw()) for buffer in buffers]
    return pickle.loads(content, buffers=owned)  # noqa: S301  (what was written above)


def _near(value: Any, hint: Any) -> list[Any]:
    """Values near one of the type `hint`, of which a configuration may refuse some or all."""
    if get_origin(hint) is Annotated:
        return _near(value, get_args(hint)[0])
    if get_origin(hint) is Literal:
        return list(get_args(hint))
    if get_origin(hint) in (Union, UnionType):
        return [found for part in get_args(hint) for found in _near(value, part)]
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [value + 1, value - 1, value + 2, value - 2, 2 * value, value // 2]
    if isinstance(value, float):
        return [value / 2, 2 * value, value + 1, 0.5]
    if isinstance(value, str):
        return [f"{value}other"]
    return [(*value, *value[-1:]), value[:-1]] if isinstance(value, tuple) else []


class FamilyContract:
    """The tests that a family has to pass; to be subclassed, as the module's docstring shows.

    Attributes:
        family: the family, an object at the top level of an importable module.
        small: fields of a configuration that trains in seconds and evaluates at least three times.
        bad: configurations that must be refused, each an addition to `small` with the offending
            field among its keys.
        learns: (fields added to `small`, metric, baseline): this run must beat the baseline, and
            its own untrained self.
        undefined: metrics whose documentation says that they may be NaN.
        bad_inputs: inputs that `predict` must refuse, beside an object that is nothing at all.
        others: further legal values of fields that `build_data` reads, where none are legal
            near the value of `small`.
        kills: how often the run of `test_goes_on_after_being_killed` is killed.
    """

    family: ClassVar[Family[Any]]
    small: ClassVar[Mapping[str, Any]]
    bad: ClassVar[Sequence[Mapping[str, Any]]]
    learns: ClassVar[tuple[Mapping[str, Any], str, str]]
    undefined: ClassVar[Collection[str]] = ()
    bad_inputs: ClassVar[Sequence[Any]] = ()
    others: ClassVar[Mapping[str, Sequence[Any]]] = {}
    kills: ClassVar[int] = 3

    @classmethod
    def config(cls, **fields: Any) -> Any:
        """The small configuration, with these fields changed."""
        return cls.family.config({**WHOLE, **cls.small, **fields})

    @classmethod
    def task(cls, data: Any, **fields: Any) -> Task:
        """A fresh task of the small configuration."""
        return cls.family.task(cls.config(**fields), data, CPU)

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def one_thread(cls) -> Iterator[None]:
        """Gives torch one thread, as a trial has it.

        Small tensors gain nothing from several, which wait for each other on a busy machine.
        """
        before = torch.get_num_threads()
        torch.set_num_threads(1)
        yield
        torch.set_num_threads(before)

    @pytest.fixture(scope="class")
    @classmethod
    def data(cls) -> Any:
        """The data of the small configuration."""
        return shared(cls.family.build_data(cls.config()))

    @pytest.fixture(scope="class")
    @classmethod
    def whole(cls, data: Any, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
        """An uninterrupted run of the small configuration, with which others are compared."""
        folder = Folder.at(str(tmp_path_factory.mktemp("whole")))
        outcome = train(cls.family, cls.config(), data, CheckpointStore(folder), count=True)
        assert len(outcome.reports) >= 3, "small: at least three evaluations are needed"
        return outcome

    def test_learns(self) -> None:
        """A short run beats a trivial baseline, and the untrained model."""
        fields, name, baseline = self.learns
        config = self.config(**fields)
        data = shared(self.family.build_data(config))
        loop = Loop(self.family, config, data)
        loop.task.model.eval()
        with torch.no_grad():
            untrained = loop.task.evaluate("validation")[name].value
        trained = list(loop.run())[-1].metrics[f"validation/{name}"].value
        trivial = self.family.baselines(config, data, "validation")[baseline][name].value
        direction = sign(self.family.metric(name).mode)
        assert direction * trained < direction * trivial, f"{name}: {trained} after training, {trivial} by {baseline!r}"
        assert direction * trained < direction * untrained, f"{name}: {trained} after training, {untrained} before"

    def test_scores_a_part(self, data: Any) -> None:
        """A part of all units scores as `evaluate` does, and one of some has these alone."""
        task = self.family.task(self.config(), data, torch.device("cpu"))
        name = self.family.objective
        strata = task.strata(name)
        if strata is None:
            pytest.skip(f"{self.family.name} scores no part")
        task.model.eval()
        with torch.no_grad():
            whole = task.evaluate("validation")[name]
            every = task.evaluate_part(name, np.arange(len(strata)))[name]
            some = task.evaluate_part(name, order(strata)[: max(1, len(strata) // 2)])[name]
        assert every.value == pytest.approx(whole.value, rel=1e-5, abs=1e-9)
        assert every.n == whole.n
        assert 0 < some.n < every.n or every.n == 1

    def test_goes_on_after_being_abandoned(self, data: Any, whole: Outcome, tmp_path: Path) -> None:
        """A run that is dropped after each of its reports ends as if it had not been."""
        folder = Folder.at(str(tmp_path))
        for known in range(len(whole.reports) - 1):
            reports = Loop(self.family, self.config(), data, store=CheckpointStore(folder, known + 1)).run()
            heard = [next(reports) for _ in range(known + 1)]
            reports.close()  # type: ignore[attr-defined]
            assert curve(heard) == curve(whole.reports[: known + 1]), (
                "the reports of earlier attempts come first, unchanged"
            )
            _disturb(known)
        assert train(self.family, self.config(), data, CheckpointStore(folder, len(whole.reports))).same_as(whole)

    def test_goes_on_after_being_killed(self, data: Any, whole: Outcome, tmp_path: Path) -> None:
        """A run whose process is killed at random instants ends as if it had not been.

        The environment variable CONTRACT_SEED repeats the instants of a run that failed.
        """
        seed = int(os.environ.get("CONTRACT_SEED", random.SystemRandom().randrange(2**32)))
        instants = [random.Random(f"{seed} {kill}").randint(1, whole.calls // self.kills) for kill in range(self.kills)]
        told = f"CONTRACT_SEED={seed}: killed at calls {instants} of {whole.calls}"
        print(told)
        for attempt, instant in enumerate(instants, 1):
            assert self._lived(tmp_path, attempt, instant) == -signal.SIGKILL, told
        assert self._lived(tmp_path, self.kills + 1, 0) == 0, told
        resumed = train(self.family, self.config(), data, CheckpointStore(Folder.at(str(tmp_path)), self.kills + 2))
        assert curve(resumed.reports) == curve(whole.reports), told
        assert resumed.digest == whole.digest, told

    def _lived(self, folder: Path, attempt: int, fatal: int) -> int:
        """The exit code of an attempt in a process of its own."""
        fields = {**WHOLE, **self.small}
        return _exit_code(_life, self.family, fields, str(folder), attempt, torch.get_num_threads(), fatal)

    def test_what_was_published_is_reported_after_a_kill(self, data: Any, whole: Outcome, tmp_path: Path) -> None:
        """Whoever heard the first report gets the second one next, from the checkpoint.

        The process is killed between publishing its second checkpoint and reporting it.
        """
        told = tmp_path / "told"
        fields = {**WHOLE, **self.small}
        arguments = (self.family, fields, str(tmp_path / "trial"), torch.get_num_threads(), str(told))
        assert _exit_code(_untold, *arguments) == -signal.SIGKILL
        known = [int(line) for line in told.read_text().splitlines()]
        assert known == [whole.reports[0].step]
        resumed = train(self.family, self.config(), data, CheckpointStore(Folder.at(str(tmp_path / "trial")), 2))
        missing = next(report for report in resumed.reports if report.step not in known)
        assert str(missing.checkpoint).startswith("attempt-01/"), (
            "it was trained again rather than taken from the checkpoint"
        )
        assert curve([missing]) == curve(whole.reports[1:2])
        assert resumed.same_as(whole)

    def test_goes_on_under_a_longer_budget(self, data: Any, whole: Outcome, tmp_path: Path) -> None:
        """A finished run goes on to twice its budget, from its last checkpoint.

        Its learning rates are then those of a run that has had the longer budget all along.
        """
        longer = self.config(steps=2 * self.config().steps)
        train(self.family, self.config(), data, CheckpointStore(Folder.at(str(tmp_path / "once"))))
        shutil.copytree(tmp_path / "once", tmp_path / "often")
        begun = Loop(self.family, longer, data)
        list(begun.run(self.config().steps))
        loop = Loop(self.family, longer, data, store=CheckpointStore(Folder.at(str(tmp_path / "often")), 2))
        reports = loop.run()
        assert curve(next(reports) for _ in whole.reports) == curve(whole.reports), (
            "what the shorter run reported comes first"
        )
        if not any(
            isinstance(scheduler, torch.optim.lr_scheduler.ReduceLROnPlateau) for scheduler in loop.task.schedulers
        ):
            assert _rates(loop.task) == _rates(begun.task), "schedules follow the longer budget"
        assert next(reports).step > self.config().steps
        reports.close()  # type: ignore[attr-defined]
        often = train(self.family, longer, data, CheckpointStore(Folder.at(str(tmp_path / "often")), 3))
        assert often.reports[-1].step == longer.steps
        assert train(self.family, longer, data, CheckpointStore(Folder.at(str(tmp_path / "once")), 2)).same_as(often)

    def test_deterministic(self, data: Any, whole: Outcome, tmp_path: Path) -> None:
        """A second run in this process, after other random work, is equal bit for bit."""
        _disturb(1234)
        assert train(self.family, self.config(), data, CheckpointStore(Folder.at(str(tmp_path)))).same_as(whole)

    def test_another_seed_differs(self, data: Any, whole: Outcome, tmp_path: Path) -> None:
        """Another seed gives other weights and other scores."""
        config = self.config(seed=self.config().seed + 1)
        other = train(self.family, config, data, CheckpointStore(Folder.at(str(tmp_path))))
        assert digest(other.checkpoint.state["model"]) != digest(whole.checkpoint.state["model"])
        assert curve(other.reports) != curve(whole.reports)

    def test_survives_nan(self, data: Any, tmp_path: Path) -> None:
        """A weight that is NaN shows in the next report's objective; nothing raises."""
        loop = Loop(self.family, self.config(), data, store=CheckpointStore(Folder.at(str(tmp_path))))
        reports = loop.run()
        next(reports)
        with torch.no_grad():
            next(p for p in loop.task.model.parameters() if p.requires_grad).fill_(math.nan)
        for report in reports:
            objective = report.metrics[f"validation/{self.family.objective}"].value
            assert not math.isfinite(objective), (
                f"{self.family.objective} is {objective} for weights that are no numbers"
            )

    def test_refuses_bad_configurations(self) -> None:
        """Each of `bad` is a ConfigError that begins with the name of a field."""
        for fields in self.bad:
            with pytest.raises(ConfigError) as caught:
                self.config(**fields)
            assert str(caught.value).partition(":")[0].partition(".")[0] in fields, f"{dict(fields)}: {caught.value}"

    def test_batch_is_a_function_of_the_step(self, data: Any) -> None:
        """A step has the same rows whenever they are asked for, and two workers can share them."""
        steps = (0, 1, self.config().steps - 1)
        task = self.task(data)
        first = {step: digest(task.batch(step)) for step in steps}
        _disturb(99)
        task = self.task(data)
        assert {step: digest(task.batch(step)) for step in reversed(steps)} == first
        for step in steps:
            rows = {name: len(tensor) for name, tensor in task.batch(step).items()}
            assert len(set(rows.values())) == 1, f"leading dimensions of step {step}: {rows}"
            assert not any(count % 2 for count in rows.values()), f"rows that two workers cannot share: {rows}"

    def test_baselines_are_present(self, data: Any) -> None:
        """Validation and test have at least one trivial predictor, each scored on the objective."""
        for split in SCORED:
            found = self.family.baselines(self.config(), data, split)
            assert found, f"{split}: no baselines"
            for name, measures in found.items():
                assert measures[self.family.objective].n > 0, f"{split}: {name}"

    def test_audits_are_present(self, data: Any) -> None:
        """The data's audits say something, and none of them failed."""
        findings = self.family.audit(self.config(), data)
        assert findings, "no audits"
        assert all(finding.guard and finding.sentence for finding in findings)
        assert not [finding for finding in findings if finding.failed]

    def test_data_key_names_what_build_data_reads(self) -> None:
        """Another value of a field that `build_data` reads has another `data_key`.

        Otherwise trials of both values would be trained and scored on the same data. It is tried
        with what presets and `others` give, and with values near the small configuration's own.
        """
        config = self.config()
        untried = []
        for field in sorted(built(self.family, config).read):
            values = {self.family.data_key(config): getattr(config, field)}
            for other in self._others(config, field):
                value, key = getattr(other, field), self.family.data_key(other)
                assert values.setdefault(key, value) == value, (
                    f"data_key: build_data reads {field}, and {field}={as_text(value)} and "
                    f"{field}={as_text(values[key])} share the key {key!r}; put {field} into the key"
                )
            if len(values) == 1:
                untried.append(field)
        if untried:
            pytest.skip(f"no other legal value found of {', '.join(untried)}, which build_data reads: see `others`")

    def _others(self, config: TrialConfig, field: str) -> Iterator[TrialConfig]:
        """Legal configurations that differ from the small one in this field alone."""
        hint = get_type_hints(type(config), include_extras=True)[field]
        presets = (getattr(made(0.02), field) for made in self.family.presets.values())
        for value in (*self.others.get(field, ()), *_near(getattr(config, field), hint), *presets):
            with contextlib.suppress(ConfigError):
                other: TrialConfig = self.config(**{field: value})
                if getattr(other, field) != getattr(config, field):
                    yield other

    def test_is_admitted(self, data: Any) -> None:
        """Nothing is found for which a sweep or `leadline train` would refuse the family.

        Refused are an audit without a word of overlap, and a metric with oracles alone.
        """
        refusals = admission(self.family, self.config(), data).refusals
        assert not refusals, "; ".join(refusals)

    def test_metrics_are_those_declared(self, data: Any) -> None:
        """Each declared metric is reported on validation and, in confirmation, on test.

        An optional one that is reported is among the baselines too. Each value is finite, lies in
        its interval, and has an `n` above 0.
        """
        declared = [metric.name for metric in self.family.metrics]
        assert len(set(declared)) == len(declared)
        assert self.family.metric(self.family.objective).name not in self.undefined
        last = list(Loop(self.family, self.config(), data, test=True).run())[-1]
        optional = {metric.name for metric in self.family.metrics if metric.optional}
        strange = set(last.metrics) ^ {f"{split}/{name}" for split in SCORED for name in declared}
        strange = {name for name in strange if name in last.metrics or name.partition("/")[2] not in optional}
        assert not strange, f"either declared or reported: {sorted(strange)}"
        self._optional_have_baselines(data, last)
        for name, measure in last.metrics.items():
            assert measure.n > 0, name
            if math.isfinite(measure.value) or name.partition("/")[2] not in self.undefined:
                assert -math.inf < measure.low <= measure.value <= measure.high < math.inf, (
                    f"{name}: {measure.to_dict()}"
                )

    def _optional_have_baselines(self, data: Any, last: Report) -> None:
        scored = [metric.name for metric in self.family.metrics if metric.optional and metric.role != "descriptive"]
        for split in SCORED:
            baselines = self.family.baselines(self.config(), data, split)
            for name in scored:
                told = any(name in measures for line, measures in baselines.items() if not is_oracle(line))
                assert told or f"{split}/{name}" not in last.metrics, f"{split}/{name}: no trivial predictor has it"

    def test_model_takes_the_weights_of_a_checkpoint(self, data: Any, whole: Outcome) -> None:
        """`family.model` and a checkpoint give the scores that were reported with it."""
        model = self.family.model(self.config())
        model.load_state_dict(whole.checkpoint.state["model"])
        task = self.task(data)
        task.model.load_state_dict(model.state_dict())
        task.load_state_dict(whole.checkpoint.state["task"])
        task.model = model.eval()
        with torch.no_grad():
            found = {f"validation/{name}": measure.to_dict() for name, measure in task.evaluate("validation").items()}
        assert found == curve(whole.reports)[-1]["metrics"]

    def test_predicts(self, data: Any, whole: Outcome) -> None:
        """The trained model answers the family's example, always alike, and stays as it is.

        JSON of the example, which `leadline predict --example` prints, has the same answer.

        An object that is no input of the family is refused, and so is each of `bad_inputs`.
        """
        if type(self.family).predict is Family.predict:
            pytest.skip(f"{self.family.name} has no predict")
        config = self.config()
        model = self.family.model(config)
        model.load_state_dict(self.family.scored_weights(whole.checkpoint.state))
        model.eval()
        before, example = digest(model.state_dict()), self.family.example(config)
        answer = self.family.predict(model, example, config)
        assert answer is not None, f"no answer to {example!r}"
        _disturb(5)
        assert self.family.predict(model, example, config) == answer, f"another answer to {example!r} when asked again"
        written = json.loads(json.dumps(example))
        assert self.family.predict(model, written, config) == answer, f"another answer to the JSON of {example!r}"
        assert digest(model.state_dict()) == before, "predicting changes the weights"
        assert not model.training, "predicting leaves eval mode"
        for inputs in (object(), *self.bad_inputs):
            with pytest.raises(ConfigError, match=r"^inputs: "):
                self.family.predict(model, inputs, config)

    def test_curriculum_is_that_of_the_task(self, data: Any) -> None:
        """What `Family.curriculum` says is what the task's clock goes by."""
        said, clock = self.family.curriculum(self.config()), self.task(data).clock
        assert said == (clock.curriculum if clock else None)

    def test_documented(self, data: Any) -> None:
        """Every field, metric and public method says what it is."""
        silent = [name for name, _, _, doc in describe(self.family.Config) if not doc]
        silent += [metric.name for metric in self.family.metrics if not (metric.doc and metric.unit)]
        assert not silent, f"no documentation: {silent}"
        for owner in (type(self.family), self.family.Config, type(self.task(data))):
            methods = [
                method for name, method in inspect.getmembers(owner, inspect.isfunction) if not name.startswith("_")
            ]
            silent = [found.__qualname__ for found in (owner, *methods) if not found.__doc__]
            assert not silent, f"no docstring: {silent}"

    def test_imports_no_engine(self, tmp_path: Path) -> None:
        """The family's module can be used where neither Ray nor Optuna is installed."""
        told = tmp_path / "told"
        assert _exit_code(_imported, type(self.family).__module__, str(told)) == 0, "it cannot be imported"
        assert told.read_text() == "", f"imported: {told.read_text()}"
