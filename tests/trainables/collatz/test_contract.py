"""The families of this package keep the contract, and the contract notices a family that does not."""

from __future__ import annotations

import inspect
import math
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from leadline.checkpoint import CheckpointStore
from leadline.config import ConfigError, make
from leadline.finding import Finding
from leadline.measure import Measure, Report
from leadline.storage import Folder
from leadline.task import Batch, Split
from leadline.testing import WHOLE, FamilyContract, Outcome, digest, shared, train
from leadline.training.loop import Loop
from trainables.collatz.config import CollatzConfig
from trainables.collatz.data import CollatzData
from trainables.collatz.family import COLLATZ, CollatzFamily
from trainables.collatz.model import LyapunovNet
from trainables.collatz.task import CollatzTask

TINY = {"layers": "16", "lookahead": 20, "batch": 64, "pool": 2048, "steps": 70, "eval_every": 20, "start_seeds": 20}
"""70 is no multiple of 20: the last report comes early."""


class TestCollatz(FamilyContract):
    family = COLLATZ
    small: ClassVar[Mapping[str, Any]] = TINY
    bad = (
        {"lookahead": 0},
        {"lookahed": 10},
        {"layers": "16,x"},
        {"lr": math.nan},
        {"features": "none"},
        {"skip": True, "features": "k_only"},
        {"anchor": 0, "anchor_min": 0.5},
        {"anchor": 0, "target": "split"},
        {"idle": "27"},
        {"common": 5},
        {"schedule": "step"},
        {"steps": 0},
    )
    undefined = ("logged_worst",)
    bad_inputs = (0, -27, 28, 27.0, "27.5", True, None, [27])
    learns = (
        {"layers": "32", "batch": 128, "pool": 8192, "lr": 0.02, "anchor_min": 1, "hard_ratio": 0.5, "steps": 400},
        "hinge",
        "ln n",
    )
    test_what_was_published_is_reported_after_a_kill = None  # type: ignore[assignment]  # once is enough: that of the last family


class TestCollatzWithSkip(FamilyContract):
    """The other path through the model, which starts where a formula is and has only details left to learn."""

    family = COLLATZ
    small: ClassVar[Mapping[str, Any]] = {**TINY, "skip": True, "layers": "linear", "schedule": "constant", "batch": 32}
    bad = ({"skip": True, "features": "k_only"},)
    undefined = ("logged_worst",)
    learns = (
        {"layers": "16", "batch": 64, "pool": 8192, "lr": 1e-4, "anchor": 0, "steps": 200},
        "hinge",
        "ln n + 0.35 drift",
    )
    kills = 1
    test_what_was_published_is_reported_after_a_kill = None  # type: ignore[assignment]


class TestCollatzWithMining(FamilyContract):
    """All that the log's code can do, with minings that are taken back: the task carries state from step to step."""

    family = COLLATZ
    small: ClassVar[Mapping[str, Any]] = {
        **TINY,
        "mine_every": 0.15,
        "mine_candidates": 200,
        "mine_count": 20,
        "mine_tolerance": 1.0,
        "fresh": True,
        "guard": "scored",
        "idle": "27",
        "start_seeds": 0,
        "t4": True,
        "t8": True,
        "target": "split",
        "schedule": "plateau",
        "patience": 0.2,
        "lr": 0.05,
        "lr_scaling": "sqrt",
        "common": 100,
    }
    bad = (
        {"mine_every": 0.1, "hard_ratio": 0},
        {"mine_count": 300},
        {"mine_tolerance": 0.5},
        {"mine_share": 1.5},
        {"guard": "none"},
    )
    undefined = ("logged_worst",)
    learns = ({**TestCollatz.learns[0], "schedule": "cosine", "lr_scaling": "none", "mine_every": 0.5}, "hinge", "ln n")
    kills = 2

    def test_takes_minings_back(self, whole: Outcome) -> None:
        """So that the tests above run through a rollback."""
        facts = whole.reports[-1].facts
        assert facts["mining_rollbacks"] >= 1
        assert facts["mined"] >= 20


class Global(CollatzTask):
    """Draws from a generator that no checkpoint holds."""

    def batch(self, step: int) -> Batch:
        batch = super().batch(step)
        return {**batch, "target": batch["target"] + float(np.random.rand())}


class Forgetful(CollatzTask):
    """Counts, and does not save the count."""

    count = 0

    def losses(self, model: torch.nn.Module, batch: Batch, progress: float) -> dict[str, torch.Tensor]:
        self.count += 1
        return {name: term * (1 + self.count) for name, term in super().losses(model, batch, progress).items()}


class Hoarding(CollatzTask):
    """Keeps its learning rate itself, and so brings back that of a shorter budget."""

    def state_dict(self) -> dict[str, Any]:
        return {"rate": self.optimizers[0].param_groups[0]["lr"]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.optimizers[0].param_groups[0]["lr"] = state["rate"]


class Rosy(CollatzTask):
    """A score that is always a number."""

    def evaluate(self, split: Split) -> dict[str, Measure]:
        return {name: Measure.exact(float(np.nan_to_num(m.value)), m.n) for name, m in super().evaluate(split).items()}


class Odd(CollatzTask):
    """Batches that two workers cannot share."""

    def batch(self, step: int) -> Batch:
        return {name: tensor[1:] for name, tensor in super().batch(step).items()}


class Talkative(CollatzTask):
    """A metric that nobody declared."""

    def evaluate(self, split: Split) -> dict[str, Measure]:
        return {**super().evaluate(split), "extra": Measure.exact(1.0)}


class Writing(CollatzTask):
    """Writes to what other trials read."""

    def batch(self, step: int) -> Batch:
        self.data.nodes.ln[0] = step
        return super().batch(step)


class Broken(CollatzFamily):
    """Breaks the contract by its task, or by a flag."""

    def __init__(
        self,
        make_task: type[CollatzTask] = CollatzTask,
        *,
        silent: bool = False,
        other_model: bool = False,
        evasive: bool = False,
    ) -> None:
        self.make_task, self.silent, self.other_model, self.evasive = make_task, silent, other_model, evasive

    def task(self, config: CollatzConfig, data: CollatzData, device: torch.device) -> CollatzTask:
        return self.make_task(config, data, device)

    def baselines(self, config: CollatzConfig, data: CollatzData, split: Split) -> dict[str, dict[str, Measure]]:
        found = super().baselines(config, data, split)
        oracles = {name: measures for name, measures in found.items() if name.startswith("oracle")}
        return {} if self.silent and split == "test" else oracles if self.evasive else found

    def audit(self, config: CollatzConfig, data: CollatzData) -> list[Finding]:
        if self.evasive:
            return [Finding("table", False, 0, "the rows are whole")]
        return [] if self.silent else super().audit(config, data)

    def model(self, config: CollatzConfig) -> LyapunovNet:
        found = super().model(config)
        if self.other_model:
            found.net[1] = torch.nn.ReLU()
        return found


class Keyless(Broken):
    """Forgets the draw of orbits in its key."""

    def data_key(self, config: CollatzConfig) -> str:
        """Names the data by their pool and guard."""
        return f"{config.pool} {config.data_seed} {config.extra_orbits} {config.guard} {config.population}"


class Moody(Broken):
    """Another answer every time."""

    def predict(self, model: torch.nn.Module, inputs: Any, config: CollatzConfig) -> Any:
        """V of a number, and a random one."""
        return super().predict(model, inputs, config), float(torch.rand(1))


class Restless(Broken):
    """Trains on what it is asked."""

    def predict(self, model: torch.nn.Module, inputs: Any, config: CollatzConfig) -> Any:
        """V of a number, by a network that changes where V does not."""
        with torch.no_grad():
            model.get_parameter("drift_param").add_(1.0)
        return super().predict(model, inputs, config)


class Trusting(Broken):
    """Takes anything for a number."""

    def predict(self, model: torch.nn.Module, inputs: Any, config: CollatzConfig) -> Any:
        """V of 27."""
        return super().predict(model, 27, config)


@pytest.mark.parametrize(
    ("broken", "check", "message"),
    [
        (Broken(Global), "test_batch_is_a_function_of_the_step", None),
        (Broken(Global), "test_deterministic", None),
        (Broken(Forgetful), "test_goes_on_after_being_abandoned", None),
        (Broken(Hoarding), "test_goes_on_under_a_longer_budget", "schedules follow the longer budget"),
        (Broken(Rosy), "test_survives_nan", "hinge is 0.0 for weights"),
        (Broken(Odd), "test_batch_is_a_function_of_the_step", "two workers cannot share"),
        (Broken(Odd), "test_documented", r"no docstring: \['Broken.audit'"),
        (Broken(Talkative), "test_metrics_are_those_declared", "extra"),
        (Broken(silent=True), "test_baselines_are_present", "test: no baselines"),
        (Broken(silent=True), "test_audits_are_present", "no audits"),
        (Broken(silent=True), "test_is_admitted", r"no finding named overlap.*none on test/hinge, test/violations"),
        (Broken(evasive=True), "test_is_admitted", r"no finding named overlap.*none that is not an oracle"),
        (Broken(other_model=True), "test_model_takes_the_weights_of_a_checkpoint", None),
        (
            Keyless(),
            "test_data_key_names_what_build_data_reads",
            "^data_key: build_data reads orbits, and orbits=1 ",
        ),
        (Moody(), "test_predicts", "another answer to 27"),
        (Restless(), "test_predicts", "changes the weights"),
        (Trusting(), "test_predicts", "DID NOT RAISE"),
        (Broken(), "test_learns", "after training"),
        (Broken(), "test_refuses_bad_configurations", "DID NOT RAISE"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Broken) else None,
)
def test_a_broken_contract_is_noticed(tmp_path: Path, broken: Broken, check: str, message: str | None) -> None:
    class Contract(FamilyContract):
        family = broken
        small: ClassVar[Mapping[str, Any]] = TINY
        bad = ({"steps": 70},)
        learns = ({"steps": 1}, "hinge", "oracle: steps to 1")

    data = broken.build_data(Contract.config())
    given: dict[str, Callable[[], Any]] = {
        "data": lambda: data,
        "tmp_path": lambda: tmp_path / "again",
        "whole": lambda: _whole(broken, data, tmp_path, count=check == "test_goes_on_after_being_killed"),
    }
    method: Callable[..., None] = getattr(Contract(), check)
    names = inspect.signature(method).parameters
    with pytest.raises((AssertionError, ConfigError, pytest.fail.Exception), match=message):
        method(**{name: given[name]() for name in names})


def _whole(family: Broken, data: CollatzData, folder: Path, *, count: bool) -> Outcome:
    return train(family, _tiny(), data, CheckpointStore(Folder.at(str(folder / "whole"))), count=count)


def _tiny() -> CollatzConfig:
    return make(CollatzConfig, {**WHOLE, **TINY})


def test_data_cannot_be_written_to() -> None:
    """As in shared memory: what one trial writes would be seen by its neighbours."""
    data = shared(COLLATZ.build_data(_tiny()))
    with pytest.raises(ValueError, match="read-only"):
        Writing(_tiny(), data, torch.device("cpu")).batch(0)


def test_a_fatal_call_happens_once_per_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Equal runs count equal calls, also on a slow disk: a seed names the instants at which a run is killed."""
    data, counts = COLLATZ.build_data(_tiny()), list[int]()
    for seconds in (0.0, 1.2):
        pauses = iter([seconds])
        monkeypatch.setattr("os.fsync", lambda _, pauses=pauses: time.sleep(next(pauses, 0.0)))
        store = CheckpointStore(Folder.at(str(tmp_path / str(seconds))))
        counts.append(train(COLLATZ, _tiny(), data, store, count=True).calls)
    assert counts[0] == counts[1] > 1000


def test_a_loop_that_keeps_its_past_to_itself_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It goes on bit for bit, and a report that was published and not heard is lost."""
    data, run = COLLATZ.build_data(_tiny()), Loop.run

    def silent(self: Loop, stop: int | None = None) -> Iterator[Report]:
        for report in run(self, stop):
            if str(report.checkpoint).startswith(f"attempt-{self.store.attempt if self.store else 0:02d}/"):
                yield report

    whole = train(COLLATZ, _tiny(), data, CheckpointStore(Folder.at(str(tmp_path / "whole"))))
    monkeypatch.setattr(Loop, "run", silent)
    with pytest.raises(AssertionError, match="trained again rather than taken"):
        FamilyContract.test_what_was_published_is_reported_after_a_kill(TestCollatz(), data, whole, tmp_path)


def test_digest_sees_every_bit_and_no_order() -> None:
    state: dict[str, Any] = {
        "a": torch.tensor([0.0, 1.0]),
        "b": [1, (2, None)],
        "c": {"d": np.arange(3), "e": "text", "f": True},
    }
    same = OrderedDict(c={"f": True, "e": "text", "d": np.arange(3)}, b=(1, [2, None]), a=torch.tensor([0.0, 1.0]))
    assert digest(state) == digest(same)
    others: list[Any] = [
        {**state, "a": torch.tensor([-0.0, 1.0])},
        {**state, "a": torch.tensor([0.0, 1.0], dtype=torch.float64)},
        {**state, "a": torch.tensor([[0.0, 1.0]])},
        {**state, "b": [1, 2, None]},
        {**state, "b": [1.0, (2, None)]},
        {**state, "c": {**state["c"], "f": 1}},
        {**state, "c": {**state["c"], "d": np.arange(3, dtype=np.int32)}},
        {"a": state["a"], "b": state["b"]},
        {**state, "z": None},
    ]
    assert len({digest(state), *map(digest, others)}) == 1 + len(others)


def test_digest_takes_scalars_numbers_that_are_none_and_empty_tensors() -> None:
    values = [
        torch.tensor(True),
        torch.tensor(3.0, dtype=torch.bfloat16),
        torch.empty(0, 3),
        torch.empty(3, 0),
        math.nan,
        {},
        [],
        None,
    ]
    assert len({digest(value) for value in values}) == len(values)
    assert digest(torch.arange(6).reshape(2, 3).T) == digest(torch.arange(6).reshape(2, 3).T.contiguous())
    with pytest.raises(TypeError, match="object is not plain data"):
        digest({"a": [object()]})


def test_a_state_that_cannot_be_read_back_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else each attempt would begin at step 0, and end as an undisturbed one does."""
    monkeypatch.setattr(CollatzTask, "state_dict", lambda self: {"best": np.float64(0.5)})
    with pytest.raises(ConfigError, match=r"^state_dict: task\.best: a float64 cannot be read back"):
        train(COLLATZ, _tiny(), COLLATZ.build_data(_tiny()), CheckpointStore(Folder.at(str(tmp_path))))
