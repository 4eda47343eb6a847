"""ETRM that begins with the decoder of a TRM: what it takes, what stays, and what is refused."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from leadline.admission import admission
from leadline.checkpoint import CheckpointStore
from leadline.config import ConfigError
from leadline.engine import options
from leadline.measure import Measure
from leadline.storage import Folder
from leadline.training.guards.gradients import ENOUGH, GradientCoverage
from leadline.training.guards.guard import Interval
from leadline.training.loop import Loop
from sweeps.encoder import STUDY
from trainables.recursive.encoder_task import ETRMTask
from trainables.recursive.family import ETRM_FAMILY, TRM_FAMILY, RecursiveFamily

RULES: dict[str, Any] = {
    "task": "rules",
    "size": 5,
    "train_rules": 3,
    "demonstrations": 2,
    "train_boards": 24,
    "validation_boards": 6,
    "test_boards": 6,
    "hidden": 16,
    "heads": 2,
    "round_to": 16,
    "halt_max_steps": 2,
    "batch": 4,
    "steps": 4,
    "eval_every": 2,
    "ema": 0.5,
    "h_cycles": 1,
    "l_cycles": 1,
}
TRM: dict[str, Any] = {**RULES, "puzzle_emb": 64, "puzzle_tokens": 4}
ETRM: dict[str, Any] = {**RULES, "context_tokens": 4, "encoder_layers": 1}
CPU = torch.device("cpu")
LAST = "attempt-01/step-000000004"


def trained(place: Path, family: RecursiveFamily[Any], fields: dict[str, Any]) -> str:
    """Trains a configuration and returns its last checkpoint."""
    config = family.config(fields)
    list(Loop(family, config, family.build_data(config), store=CheckpointStore(Folder.at(str(place)))).run())
    return str(place / LAST)


@pytest.fixture(scope="module")
def trm(tmp_path_factory: pytest.TempPathFactory) -> str:
    return trained(tmp_path_factory.mktemp("trm"), TRM_FAMILY, TRM)


@pytest.fixture(scope="module")
def lookup(tmp_path_factory: pytest.TempPathFactory) -> str:
    return trained(tmp_path_factory.mktemp("lookup"), ETRM_FAMILY, {**RULES, "encoder": "lookup", "context_tokens": 4})


def begun(start: str, **fields: Any) -> ETRMTask:
    config = ETRM_FAMILY.config({**ETRM, "start": start, **fields})
    data = pickle.loads(pickle.dumps(ETRM_FAMILY.build_data(config)))  # noqa: S301  as trials get it
    torch.manual_seed(1)
    task = ETRM_FAMILY.task(config, data, CPU)
    assert isinstance(task, ETRMTask)
    return task


def step(task: ETRMTask, number: int, guard: GradientCoverage | None = None) -> None:
    torch.autograd.backward(torch.stack(list(task.losses(task.model, task.batch(number), 0.5).values())).sum())
    if guard:
        guard.before_update(number)
    for optimizer in task.optimizers:
        optimizer.step()
        optimizer.zero_grad()
    task.after_step(number + 1)


@pytest.mark.parametrize("source", ["trm", "lookup"])
def test_takes_all_but_the_contexts(source: str, request: pytest.FixtureRequest) -> None:
    """The averaged weights of the decoder; the encoder is as fresh as without a start."""
    start = request.getfixturevalue(source)
    task = begun(start)
    found = CheckpointStore(Folder.at(str(Path(start).parents[1]))).load(LAST)
    weights = dict(TRM_FAMILY.scored_weights(found.state))
    assert weights.pop("puzzle.weight").any()
    own = task.net.state_dict()
    assert {name for name in own if not name.startswith("encoder.")} == weights.keys()
    for name, tensor in weights.items():
        assert torch.equal(own[name], tensor), name
    torch.manual_seed(1)
    config = ETRM_FAMILY.config(ETRM)
    fresh = ETRM_FAMILY.task(config, ETRM_FAMILY.build_data(config), CPU).model.state_dict()
    for name in own.keys() - weights.keys():
        assert torch.equal(own[name], fresh[name]), name


@pytest.mark.parametrize("encoding", ["reencode", "cached"])
def test_a_frozen_decoder_stays(encoding: str, trm: str) -> None:
    """No step, no decay and no drift of its average, while the encoder learns from every row."""
    task = begun(trm, freeze_decoder=True, encoding=encoding, weight_decay=0.5)
    before = {name: tensor.clone() for name, tensor in task.net.state_dict().items()}
    for number in range(4):
        step(task, number)
    assert task.average is not None
    average = task.average.state_dict()
    for name, tensor in task.net.state_dict().items():
        assert torch.equal(tensor, before[name]) != name.startswith("encoder."), name
        if name in average and not name.startswith("encoder."):
            assert torch.equal(average[name], before[name]), name
    covered, rows = task.tallies()["encoder/coverage"].tolist()
    assert covered / rows == (1.0 if encoding == "reencode" else 0.5)


def test_a_decoder_that_is_not_frozen_is_trained(trm: str) -> None:
    task = begun(trm)
    before = task.net.get_parameter("head.weight").detach().clone()
    step(task, 0)
    assert not torch.equal(task.net.get_parameter("head.weight"), before)


def test_a_frozen_decoder_leaves_a_lookup_its_contexts(trm: str) -> None:
    task = begun(trm, freeze_decoder=True, encoder="lookup", puzzle_lr=0.01)
    contexts, head = (task.net.get_parameter(name).detach().clone() for name in ("puzzle.weight", "head.weight"))
    step(task, 0)
    assert not torch.equal(task.net.get_parameter("puzzle.weight"), contexts)
    assert torch.equal(task.net.get_parameter("head.weight"), head)


def test_reports_say_what_the_start_brought(trm: str) -> None:
    fields = {**ETRM, "start": trm, "freeze_decoder": True}
    config = ETRM_FAMILY.config(fields)
    data = ETRM_FAMILY.build_data(config)
    found = admission(ETRM_FAMILY, config, data)
    assert not found.refusals
    (finding,) = [one for one in found.findings if one.guard == "overlap_start"]
    assert finding.sentence == f"{trm} (4 steps, 16 samples), its decoder: trained on the same split."
    for report in Loop(ETRM_FAMILY, config, data).run():
        assert (report.facts["start/steps"], report.facts["start/samples"]) == (4, 16)
        assert report.value("validation/start_steps") == 4
        assert report.samples == 4 * report.step, "what was brought is no part of the budget"
        assert {one.guard for one in report.findings if one.failed} <= {"plateau"}


def test_the_guard_on_gradients_looks_at_what_is_trained(trm: str) -> None:
    task, guard = begun(trm, freeze_decoder=True), GradientCoverage()
    guard.started(task)
    for number in range(ENOUGH):
        step(task, number, guard)
    assert set(guard._looked[-1][0]) == {True, False}
    objective = Measure.exact(0.0)
    guard.report(Interval(ENOUGH, ENOUGH, ENOUGH, 1.0, np.zeros(ENOUGH), (1e-3,), objective, minimise=False))
    found = list(guard._findings())
    assert {one.subject.split(".")[0] for one in found} == {"encoder"}
    assert not [one for one in found if one.failed]


def test_without_a_start_there_is_no_such_column() -> None:
    config = ETRM_FAMILY.config({**ETRM, "steps": 1, "eval_every": 1})
    (last,) = Loop(ETRM_FAMILY, config, ETRM_FAMILY.build_data(config)).run()
    assert "validation/start_steps" not in last.metrics
    assert "start/steps" not in last.facts
    assert "validation/chance" in last.metrics


def refused(start: str, **fields: Any) -> str:
    """What is said of a start before anything is trained."""
    config = ETRM_FAMILY.config({**ETRM, "start": start, **fields})
    try:
        found = admission(ETRM_FAMILY, config, ETRM_FAMILY.build_data(config))
    except ConfigError as error:
        return str(error)
    assert len(found.refusals) < 2
    return "".join(found.refusals)


def test_another_architecture_is_refused_by_all_fields_that_differ(trm: str) -> None:
    said = refused(trm, hidden=32, l_layers=2)
    assert said == f"hidden: must be 16 (got 32); l_layers: must be 1 (got 2), as in {trm}, which start names"
    assert refused(trm, size=6) == f"size: must be 5 (got 6), as in {trm}, which start names"
    ahead = f"4 tokens stand ahead of the board in {trm}, which start names, and"
    assert refused(trm, context_tokens=8) == f"audit: context_tokens: {ahead} 8 here"
    assert refused(trm, pooling="none") == f"audit: pooling: {ahead} 100 here"


def test_a_trial_is_refused_what_its_sweep_was_not_asked(trm: str) -> None:
    """Trials share the data of a start, and search fields of their own."""
    data = ETRM_FAMILY.build_data(ETRM_FAMILY.config({**ETRM, "start": trm}))
    for fields, said in (({"l_layers": 2}, "l_layers: must be 1"), ({"context_tokens": 8}, "context_tokens: 4 tokens")):
        with pytest.raises(ConfigError, match=f"^{said}"):
            ETRM_FAMILY.task(ETRM_FAMILY.config({**ETRM, "start": trm, **fields}), data, CPU)


def test_what_has_no_effect_on_a_decoder_is_not_compared(
    trm: str, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """rope's base without rope, an inner width that comes out the same, what nobody was shown."""
    assert refused(trm, rope_theta=5.0, expansion=3.9, demonstrations=1) == ""
    assert refused(trm, expansion=6.0).startswith("expansion: must be 4.0 (got 6.0), as in")
    assert refused(trm, positions="rope", rope_theta=5.0).startswith("positions: must be learned (got rope), as in")
    blind = trained(tmp_path, TRM_FAMILY, {**TRM, "demonstrations": 0, "steps": 2})
    assert refused(blind.replace(LAST, "attempt-01/step-000000002")) == ""
    whole = trained(tmp_path_factory.mktemp("whole"), ETRM_FAMILY, {**ETRM, "pooling": "none"})
    assert refused(whole, pooling="none", set_layers=3, context_tokens=9) == ""
    assert refused(whole, pooling="none", paired=True).startswith("paired: must be False (got True), as in")
    said = refused(whole, pooling="none", demonstrations=1)
    assert said.startswith("audit: demonstrations: 100 tokens stand ahead of the board in")


def test_another_mode_is_refused(tmp_path: Path, lookup: str) -> None:
    """An encoder goes on as it was trained; a lookup takes no encoder, and trm neither."""
    cached = trained(tmp_path, ETRM_FAMILY, {**ETRM, "encoding": "cached"})
    assert refused(cached) == f"encoding: must be cached (got reencode), as in {cached}, which start names"
    whole = begun(cached, encoding="cached")
    assert whole.data.start is not None
    assert not whole.data.start.decoder(whole.config)
    assert refused(cached, encoder="lookup").startswith("encoder: must be standard (got lookup), as in")
    with pytest.raises(ConfigError, match=r"is of the family etrm, this one is trm$"):
        TRM_FAMILY.build_data(TRM_FAMILY.config({**TRM, "start": lookup}))


@pytest.mark.parametrize("fields", [{"data_seed": 1}, {"train_rules": 4}])
def test_a_decoder_that_may_have_seen_the_scored_boards_is_refused(fields: dict[str, Any], trm: str) -> None:
    said = refused(trm, **fields)
    assert said.startswith(f"by the overlap_start audit: {trm} (4 steps, 16 samples), its decoder: trained on rules3-")
    assert said.endswith("so it may have seen the boards scored here.")


def test_a_start_from_a_start_is_refused(tmp_path: Path, trm: str) -> None:
    second = trained(tmp_path, TRM_FAMILY, {**TRM, "start": trm})
    assert f"itself from a start, {trm}, so it may have seen" in refused(second)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"freeze_decoder": True}, "freeze_decoder: needs start, the checkpoint whose decoder is left as it is"),
        (
            {"freeze_decoder": True, "freeze_encoder": True, "start": "x"},
            "freeze_decoder: with freeze_encoder nothing would be trained",
        ),
    ],
)
def test_refuses_in_one_line(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as error:
        ETRM_FAMILY.config({**ETRM, **fields})
    assert str(error.value) == said


def asked(*words: str) -> Any:
    return options.settings(STUDY, options.parse(STUDY, ["--scale", "smoke", *words], ""))


def test_the_arms_take_the_start_that_is_named_and_no_other_does(trm: str) -> None:
    settings = asked("arm=reencode,decoder,decoder frozen", f"start={trm}", "l_layers=1")
    found = {arm: settings.configure({}, arm, 0) for arm in settings.strata}
    assert {arm: config.start for arm, config in found.items()} == {
        "reencode": "",
        "decoder": trm,
        "decoder frozen": trm,
    }
    assert [arm for arm, config in found.items() if config.freeze_decoder] == ["decoder frozen"]


def test_the_arms_demand_a_start() -> None:
    settings = asked("arm=decoder")
    with pytest.raises(ConfigError, match=r"^start: there is no checkpoint at CHECKPOINT; give the folder of one"):
        ETRM_FAMILY.build_data(settings.configure({}, "decoder", 0))
    with pytest.raises(ConfigError, match=r"^start: is fixed by every arm \(reencode\), so this would be ignored$"):
        asked("arm=reencode", "start=x")
    assert "start" not in asked().fields


@pytest.mark.parametrize("first", ["lookup", "standard"])
def test_who_takes_contexts_does_not_depend_on_whose_data_it_is(first: str, lookup: str) -> None:
    """Trials share a start, whichever of them reads it."""
    fields = {**RULES, "start": lookup, "context_tokens": 4}
    own, encoded = (ETRM_FAMILY.config({**fields, "encoder": name}) for name in ("lookup", "standard"))
    assert ETRM_FAMILY.data_key(own) == ETRM_FAMILY.data_key(encoded)
    data = ETRM_FAMILY.build_data(own if first == "lookup" else encoded)
    assert data.start is not None
    assert [data.start.decoder(config) for config in (own, encoded)] == [False, True]
    assert ETRM_FAMILY.task(encoded, data, CPU).data is data
    weights = ETRM_FAMILY.task(own, data, CPU).model.state_dict()
    assert weights.keys() == data.start.arrays.keys()
    for name, array in data.start.arrays.items():
        np.testing.assert_array_equal(weights[name].numpy(), array)
