"""A trial of HRM or TRM: fine-tuning, averaged weights, several workers, and what its reports hold."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist

from leadline.admission import admission
from leadline.checkpoint import CheckpointStore
from leadline.config import ConfigError
from leadline.measure import Report
from leadline.storage import Folder
from leadline.testing import digest
from leadline.training.loop import Loop
from leadline.training.step import World
from tests.conftest import two_workers
from trainables.recursive.family import HRM_FAMILY, TRM_FAMILY
from trainables.recursive.metrics import LADDER, rung

SMALL: dict[str, Any] = {
    "train_boards": 48,
    "validation_boards": 16,
    "test_boards": 8,
    "hidden": 16,
    "heads": 2,
    "round_to": 16,
    "halt_max_steps": 2,
    "batch": 8,
    "steps": 6,
    "eval_every": 3,
    "ema": 0.5,
}
NOISY: dict[str, Any] = {"mode": "multi_perturbed_ce", "k": 2, "ramp": 0.5}


def run(place: Path, family: Any = TRM_FAMILY, **fields: Any) -> list[Report]:
    config = family.config({**SMALL, **fields})
    return list(Loop(family, config, family.build_data(config), store=CheckpointStore(Folder.at(str(place)))).run())


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trial's folder, with two checkpoints."""
    place = tmp_path_factory.mktemp("trained")
    run(place)
    return place


FIRST, LAST = "attempt-01/step-000000003", "attempt-01/step-000000006"


@pytest.mark.parametrize("part", [FIRST, LAST])
def test_fine_tunes(part: str, trained: Path) -> None:
    """From the averaged weights of a checkpoint; its score is the first one."""
    config = TRM_FAMILY.config({**SMALL, "start": str(trained / part), "seed": 5})
    data = TRM_FAMILY.build_data(config)
    assert not admission(TRM_FAMILY, config, data).refusals
    found = CheckpointStore(Folder.at(str(trained))).load(part)
    task = TRM_FAMILY.task(config, data, torch.device("cpu"))
    assert digest(task.net.state_dict()) == digest(TRM_FAMILY.scored_weights(found.state))
    before = found.record["history"][-1]["metrics"]["validation/accuracy"]["value"]
    assert task.evaluate("validation")["accuracy"].value == before


def test_a_start_of_another_architecture_is_refused_by_the_field(trained: Path) -> None:
    for fields, said in (
        ({"hidden": 32}, "hidden: must be 16"),
        ({"mlp_t": True, "positions": "none"}, "positions: must be learned"),
    ):
        config = TRM_FAMILY.config({**SMALL, **fields, "start": str(trained / LAST)})
        with pytest.raises(ConfigError, match=f"^{said}.*which start names"):
            TRM_FAMILY.build_data(config)
        shared = TRM_FAMILY.build_data(TRM_FAMILY.config({**SMALL, "start": str(trained / LAST)}))
        with pytest.raises(ConfigError, match=f"^{said}.*which start names"):
            TRM_FAMILY.task(config, shared, torch.device("cpu"))


def test_a_start_that_is_none_is_refused(trained: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^start: there is no checkpoint at"):
        TRM_FAMILY.build_data(TRM_FAMILY.config({**SMALL, "start": str(tmp_path)}))
    with pytest.raises(ConfigError, match=r"is of the family trm, this one is hrm$"):
        HRM_FAMILY.build_data(HRM_FAMILY.config({**SMALL, "start": str(trained / LAST)}))
    with pytest.raises(ConfigError, match=rf"is a trial; say which of its checkpoints, such as .*{LAST}$"):
        TRM_FAMILY.build_data(TRM_FAMILY.config({**SMALL, "start": str(trained)}))


def test_a_start_that_may_have_seen_the_scored_boards_is_refused(trained: Path) -> None:
    config = TRM_FAMILY.config({**SMALL, "start": str(trained / LAST), "data_seed": 1})
    (refusal,) = admission(TRM_FAMILY, config, TRM_FAMILY.build_data(config)).refusals
    assert "overlap_start" in refusal
    assert "may have seen the boards scored here" in refusal


def test_goes_on_only_with_the_same_architecture(trained: Path) -> None:
    """A checkpoint of this run's own folder, too."""
    config = TRM_FAMILY.config({**SMALL, "hidden": 32})
    loop = Loop(TRM_FAMILY, config, TRM_FAMILY.build_data(config), store=CheckpointStore(Folder.at(str(trained)), 2))
    with pytest.raises(RuntimeError, match=r"size mismatch"):
        next(loop.run())


def test_reports(tmp_path: Path) -> None:
    """The ladder is `robust`'s mean, noise and what ended are facts, and the test split is probed on all boards."""
    config = TRM_FAMILY.config({**SMALL, **NOISY, "rollout": "parallel_fixed"})
    last = list(Loop(TRM_FAMILY, config, TRM_FAMILY.build_data(config), test=True).run())[-1]
    ladder = [last.metrics[f"test/{rung(sigma)}"].value for sigma in LADDER]
    assert last.metrics["test/robust"].value == pytest.approx(np.mean(ladder))
    assert last.metrics["test/robust"].n == SMALL["test_boards"]
    assert last.samples == SMALL["steps"] * SMALL["batch"] * 2 * 2
    facts = last.facts
    assert facts["noise_ramp"] == 1.0
    assert facts["noise/z_H/effective"] == pytest.approx(facts["noise/z_H/asked"], rel=0.05)
    assert facts["train/steps"] == 2.0, "nothing halts early at first"
    assert 0 < facts["train/accuracy"] < 1


def test_nothing_ended_is_no_number() -> None:
    """Streaming: no trajectory has come to its end after one step of two, so that there is no ratio to report."""
    config = TRM_FAMILY.config({**SMALL, "steps": 2, "eval_every": 1})
    first, second = Loop(TRM_FAMILY, config, TRM_FAMILY.build_data(config)).run()
    assert np.isnan(first.facts["train/exact"])
    assert second.facts["train/steps"] == 2.0


def _as_worker(rank: int, folder: str) -> None:
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    config = HRM_FAMILY.config({**SMALL, **NOISY, "explore": 0.5, "puzzle_emb": 8})
    data = HRM_FAMILY.build_data(config)

    def loop(attempt: int) -> Loop:
        store = CheckpointStore(Folder.at(f"{folder}/two"), attempt)
        return Loop(HRM_FAMILY, config, data, store=store, world=World(rank, 2))

    next(iter(loop(1).run()))
    reports = [report.to_dict() for report in loop(2).run()]
    Path(folder, f"worker-{rank}.json").write_text(json.dumps(reports))
    dist.destroy_process_group()


def test_two_workers_stream_what_one_does(tmp_path: Path) -> None:
    """Each keeps up the carry of its own slots; a checkpoint has them all, and both go on from it. Up to rounding."""
    two_workers(_as_worker, str(tmp_path))
    run(tmp_path / "one", HRM_FAMILY, **NOISY, explore=0.5, puzzle_emb=8)
    two, one = (CheckpointStore(Folder.at(str(tmp_path / name))).newest() for name in ("two", "one"))
    assert two is not None
    assert one is not None
    for name in ("steps", "halted", "inputs", "labels"):
        assert torch.equal(two.state["task"]["carry"][name], one.state["task"]["carry"][name]), name
    for name, tensor in one.state["model"].items():
        torch.testing.assert_close(two.state["model"][name], tensor, rtol=0, atol=1e-4)
    mine, whole = ([past["facts"] for past in found.record["history"]] for found in (two, one))
    for found, expected in zip(mine, whole, strict=True):
        for name in ("train/accuracy", "train/steps", "loss"):
            assert found[name] == pytest.approx(expected[name], rel=1e-3), name


def test_one_segment_is_one_segment() -> None:
    """Exploration asks for two at least, which a limit of one does not give."""
    config = TRM_FAMILY.config({**SMALL, "halt_max_steps": 1, "explore": 1.0})
    last = list(Loop(TRM_FAMILY, config, TRM_FAMILY.build_data(config)).run())[-1]
    assert last.facts["train/steps"] == 1.0


@pytest.mark.parametrize("micro_batch", [0, 2])
def test_noise_is_a_fact_of_the_last_step_that_had_any(micro_batch: int) -> None:
    """Streaming: every second step has none, the reported one among them; parts of a batch count together."""
    config = TRM_FAMILY.config(
        {**SMALL, **NOISY, "noise": "fixed", "sigma_max": 0.1, "micro_batch": micro_batch, "steps": 8, "eval_every": 4}
    )
    last = list(Loop(TRM_FAMILY, config, TRM_FAMILY.build_data(config)).run())[-1]
    assert last.facts["noise/z_L/asked"] == pytest.approx(0.1)
    assert last.facts["noise/z_L/effective"] == pytest.approx(0.1, rel=0.05)


def test_a_checkpoint_is_about_as_large_as_was_said(trained: Path, tmp_path: Path) -> None:
    for name, fields in (("none", {}), ("streams", {**NOISY, "k": 8, "batch": 32})):
        run(tmp_path / name, **fields)
        written = max(file.stat().st_size for file in (tmp_path / name).rglob("state.pt"))
        said = TRM_FAMILY.checkpoint_bytes(TRM_FAMILY.config({**SMALL, **fields}))
        assert 0.5 * written < said < 1.5 * written, name


def test_a_resumed_trial_tells_the_noise_of_before(tmp_path: Path) -> None:
    """Streaming, with a report after each step: the second step of each board has no noise of its own."""
    config = TRM_FAMILY.config(
        {**SMALL, **NOISY, "noise": "fixed", "sigma_max": 0.1, "steps": 4, "eval_every": 1, "ramp": 0.0}
    )
    data = TRM_FAMILY.build_data(config)
    whole = [report.facts for report in Loop(TRM_FAMILY, config, data).run()]
    store = [CheckpointStore(Folder.at(str(tmp_path)), attempt) for attempt in (1, 2)]
    next(Loop(TRM_FAMILY, config, data, store=store[0]).run())
    resumed = [report.facts for report in Loop(TRM_FAMILY, config, data, store=store[1]).run()]
    for name in ("noise/z_H/asked", "noise/z_H/effective", "noise/z_L/changed"):
        assert [facts[name] for facts in resumed] == [facts[name] for facts in whole], name
