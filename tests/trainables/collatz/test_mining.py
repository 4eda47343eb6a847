"""Mining: what is chosen, what is kept, and when it is taken back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from leadline.config import ConfigError, make
from leadline.testing import digest
from leadline.training.loop import Loop
from leadline.training.step import World
from tests.conftest import two_workers
from trainables.collatz.config import CollatzConfig
from trainables.collatz.data import CollatzData, build
from trainables.collatz.family import COLLATZ
from trainables.collatz.features import F64, I64, Nodes
from trainables.collatz.mining import MOST, PROBE, merged, worst
from trainables.collatz.task import CollatzTask

FIELDS: dict[str, Any] = {
    **{"layers": "8", "lookahead": 20, "batch": 64, "pool": 2048, "steps": 40, "eval_every": 40, "start_seeds": 20},
    **{"mine_every": 0.25, "mine_candidates": 300, "mine_count": 30},
}


@pytest.fixture(scope="module")
def data() -> CollatzData:
    return build(2048, 0)


def task(data: CollatzData, **fields: Any) -> CollatzTask:
    return COLLATZ.task(make(CollatzConfig, {**FIELDS, **fields}), data, torch.device("cpu"))


def train(trial: CollatzTask, first: int, last: int) -> None:
    for step in range(first, last):
        trial.optimizers[0].zero_grad()
        torch.stack(list(trial.losses(trial.model, trial.batch(step), step / 40).values())).sum().backward()  # type: ignore[no-untyped-call]
        trial.optimizers[0].step()
        trial.after_step(step + 1)


def mined(trial: CollatzTask) -> tuple[int, ...]:
    return trial.sampler.mined.numbers


def test_the_smallest_margins_are_chosen_violations_or_not() -> None:
    assert worst(np.array([3.0, 1.0, 2.0, 1.0, np.nan]), 3).tolist() == [1, 3, 2]
    assert merged((5, 7, 9), [7, 11]) == (5, 7, 9, 11)
    assert merged(tuple(range(MOST)), [MOST, 3])[0] == 1
    assert len(merged(tuple(range(MOST)), [MOST])) == MOST


@pytest.mark.parametrize("fresh", [False, True])
def test_a_mining_takes_the_worst_candidates(data: CollatzData, fresh: bool) -> None:
    trial = task(data, fresh=fresh, mine_tolerance=0)
    assert trial.miner is not None
    train(trial, 0, 9)
    assert not mined(trial)
    parts = trial.sampler.candidates(10, trial.sampler.active(10))
    numbers = [part.number(node) for part in parts for node in part.index.tolist()]
    assert sum(int(part.hard.sum()) for part in parts) == 150
    assert len(numbers) == 300
    trial.miner.after_step(10)
    margins = np.concatenate([trial.margins(part.nodes, part.index) for part in parts])
    bound = np.sort(margins)[29]
    assert set(mined(trial)) == {n for n, m in zip(numbers, margins, strict=True) if m <= bound}
    assert trial.facts(10)["mined"] == len(mined(trial))


def test_minings_come_at_every_interval_but_the_last(data: CollatzData) -> None:
    trial = task(data, mine_tolerance=0)
    counts = []
    for step in range(40):
        train(trial, step, step + 1)
        counts.append(len(mined(trial)))
    changes = [step + 1 for step in range(1, 40) if counts[step] != counts[step - 1]]
    assert changes == [10, 20, 30]
    assert task(data, mine_every=0).state_dict() == {}


@pytest.mark.parametrize("steps", [2, 3, 40])
def test_what_is_accepted_mines(steps: int) -> None:
    """Just below 1, rounding alone would put the only mining at the end, where none is made."""
    with pytest.raises(ConfigError, match=r"^mine_every: .*less than 1"):
        make(CollatzConfig, {**FIELDS, "steps": steps, "mine_every": 1.0})
    assert make(CollatzConfig, {**FIELDS, "steps": steps, "mine_every": 0.9999}).mine_interval == steps - 1


def scripted(trial: CollatzTask, shares: list[float]) -> None:
    """Lets the probe say these shares of violations, one after the other; candidates fall without end."""
    assert trial.miner is not None
    told = iter(shares)

    def margins(nodes: Nodes, index: I64) -> F64:
        if len(index) != PROBE:
            return np.linspace(-1, 1, len(index))
        share = next(told)
        return np.full(PROBE, np.nan) if np.isnan(share) else np.where(np.arange(PROBE) < share * PROBE, -1.0, 1.0)

    trial.miner.margins = margins


@pytest.mark.parametrize(
    ("shares", "rollbacks"),
    [
        ([0.2, 0.29], 0),
        ([0.2, 0.31], 1),
        ([0.0, 1 / PROBE], 0),
        ([0.0, 4 / PROBE], 1),
        ([0.2, np.nan], 0),
    ],
)
def test_a_mining_that_did_harm_is_taken_back_after_half_an_interval(
    data: CollatzData, shares: list[float], rollbacks: int
) -> None:
    trial = task(data, schedule="cosine")
    scripted(trial, shares)
    train(trial, 0, 10)
    before = digest([trial.model.state_dict(), trial.optimizers[0].state_dict()["state"]])
    assert len(mined(trial)) > 0
    train(trial, 10, 14)
    trial.optimizers[0].param_groups[0]["lr"] = 1e-5
    moved = digest([trial.model.state_dict(), trial.optimizers[0].state_dict()["state"]])
    assert trial.miner is not None
    trial.miner.after_step(15)
    after = digest([trial.model.state_dict(), trial.optimizers[0].state_dict()["state"]])
    assert trial.facts(15)["mining_rollbacks"] == rollbacks
    assert after == (before if rollbacks else moved)
    assert bool(mined(trial)) == (not rollbacks)
    assert trial.optimizers[0].param_groups[0]["lr"] == 1e-5, "the schedule counts steps"


def test_harm_that_shows_late_is_seen_before_the_next_mining(data: CollatzData) -> None:
    trial = task(data)
    scripted(trial, [0.2, 0.2, 0.5, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2])
    train(trial, 0, 19)
    first = mined(trial)
    train(trial, 19, 20)
    assert trial.facts(20)["mining_rollbacks"] == 1
    assert mined(trial)
    assert mined(trial) != first, "mined anew, from what was before"
    train(trial, 20, 40)
    assert trial.facts(40)["mining_rollbacks"] == 1


@pytest.mark.parametrize(("every", "last"), [(0.75, 30), (0.3, 36)])
@pytest.mark.parametrize(("share", "rollbacks"), [(0.5, 1), (0.2, 0)])
def test_the_last_mining_is_judged_at_the_last_step(
    data: CollatzData, every: float, last: int, share: float, rollbacks: int
) -> None:
    """Half an interval after it lies beyond the budget."""
    trial = task(data, mine_every=every)
    minings = len(range(trial.config.mine_interval, 40, trial.config.mine_interval))
    shares = [0.2] * (3 * minings - 2)  # each mining but the last is judged twice
    scripted(trial, [*shares, share])
    train(trial, 0, last)
    kept = digest(trial.model.state_dict())
    train(trial, last, 39)
    assert trial.facts(39)["mining_rollbacks"] == 0
    train(trial, 39, 40)
    assert trial.facts(40)["mining_rollbacks"] == rollbacks
    assert (digest(trial.model.state_dict()) == kept) == bool(rollbacks)


def test_the_log_takes_nothing_back(data: CollatzData) -> None:
    trial = task(data, mine_tolerance=0)
    scripted(trial, [])
    train(trial, 0, 40)
    assert trial.facts(40)["mining_rollbacks"] == 0
    assert trial.state_dict()["kept"] is None


def test_the_probe_is_made_of_training_rows(data: CollatzData) -> None:
    trial = task(data, seed=5)
    seen: list[I64] = []
    assert trial.miner is not None

    def margins(nodes: Nodes, index: I64) -> F64:
        seen.append(index)
        return np.ones(len(index))

    trial.miner.margins = margins
    assert trial.miner.violations() == 0
    trainable = np.concatenate([data.rows, data.pool_first + 9 * np.arange(data.pool)])
    assert np.isin(seen[0], trainable).all()
    assert len(seen[0]) == PROBE


def test_state_goes_on_bit_for_bit(data: CollatzData, tmp_path: Any) -> None:
    """Half-way between a mining and its judgement, through a file."""
    whole = task(data)
    train(whole, 0, 13)
    torch.save([whole.state_dict(), whole.model.state_dict(), whole.optimizers[0].state_dict()], tmp_path / "state")
    state, weights, moments = torch.load(tmp_path / "state", weights_only=True)
    other = task(data)
    other.load_state_dict(state)
    other.model.load_state_dict(weights)
    other.optimizers[0].load_state_dict(moments)
    assert mined(other) == mined(whole)
    train(whole, 13, 40)
    train(other, 13, 40)
    assert digest(whole.model.state_dict()) == digest(other.model.state_dict())
    assert digest(whole.state_dict()) == digest(other.state_dict())


def _worker(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    config = make(CollatzConfig, {**FIELDS, "target": "adaptive", "schedule": "plateau", "patience": 0.05})
    loop = Loop(COLLATZ, config, COLLATZ.build_data(config), world=World(rank, 2))
    list(loop.run())
    state = {
        "model": loop.task.model.state_dict(),
        "task": loop.task.state_dict(),
        "rate": loop.task.optimizers[0].param_groups[0]["lr"],
    }
    torch.save(state, f"{folder}/worker-{rank}")
    torch.distributed.destroy_process_group()


def test_two_workers_mine_the_same(tmp_path: Any) -> None:
    """And halve their learning rate together, though each has its own rows' loss."""
    two_workers(_worker, str(tmp_path))
    first, second = (torch.load(tmp_path / f"worker-{rank}", weights_only=True) for rank in range(2))
    assert digest(first) == digest(second)
    assert first["task"]["mined"].shape[1] > 30
    assert first["rate"] < 1e-3


def test_mining_may_begin_once_the_seeds_are_exhausted(data: CollatzData) -> None:
    stages = "seeds:1/2:hard=1:ramp=1,mined:1/2:hard=1:mining=on:rate=0.1"
    trial = task(data, stages=stages, start_seeds=0, mine_every=0.25, mine_tolerance=0)
    assert [trial.sampler.active(step) for step in (0, 5, 10, 20, 39)] == [0, 12, 24, 49, 49]
    assert [trial.stage(step) for step in (0, 19, 20, 39)] == [0, 0, 1, 1]
    train(trial, 0, 19)
    assert not mined(trial), "a mining would have been due at step 10"
    train(trial, 19, 20)
    assert mined(trial)


def test_stages_set_the_rate_and_reach_the_guard(data: CollatzData) -> None:
    trial = task(data, stages="few:1/2:hard=0.1,all:1/2:hard=1:rate=0.5", start_seeds=0, mine_every=0)
    rates = []
    for _ in range(40):
        rates.append(trial.optimizers[0].param_groups[0]["lr"])
        trial.optimizers[0].step()
        trial.schedulers[0].step()
    whole = [1e-3 * (1 + np.cos(np.pi * step / 40)) / 2 for step in range(40)]
    np.testing.assert_allclose(rates, whole[:20] + [rate / 2 for rate in whole[20:]], rtol=1e-12)
    few, many = trial.staged_batch(30, 0), trial.staged_batch(30, 1)
    assert not torch.equal(few["now"], many["now"])
    assert all(torch.equal(rows, trial.batch(30)[name]) for name, rows in many.items())


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({"stages": "a:1:mining=on", "mine_every": 0}, "mine_every: 0 does not go with the stages' mining"),
        ({"stages": "a:1:hard=1"}, "mine_every: above 0 does not go with the stages' mining"),
        (
            {"stages": "a:1:mining=on", "schedule": "plateau"},
            "schedule: plateau does not go with stages, which set rates of their own",
        ),
        (
            {"stages": "a:1:mining=on", "start_seeds": 5},
            "start_seeds: has no effect with stages, which say how many seeds are active",
        ),
        ({"stages": "a:1:mining=perhaps"}, "stages: a: mining: no 'perhaps'; known: off, on, and several joined by +"),
    ],
)
def test_stages_that_say_two_things_are_refused(fields: dict[str, Any], line: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        make(CollatzConfig, {**FIELDS, "start_seeds": 0, **fields})
    assert str(refusal.value) == line
