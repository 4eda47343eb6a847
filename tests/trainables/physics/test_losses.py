"""The loss terms: zero for what the simulator did, right by hand, and balanced."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pytest
import torch

from tests.trainables.physics.conftest import LOGGED, MakeTask
from trainables.physics import losses
from trainables.physics.features import features

PHYSICS_STAGES = "joint:1:energy=1:momentum=0.5"


def test_energy_and_momentum_of_two_balls_by_hand() -> None:
    states = torch.tensor([[[[0.0, 2.0, 3.0, 4.0], [0.0, 1.0, -1.0, 0.0]]]])
    mass = torch.tensor([[2.0, 4.0]])
    assert losses.energy(states, mass, torch.tensor([[10.0]])).item() == 25 + 40 + 2 + 40
    assert losses.momentum(states, mass).flatten().tolist() == [6 - 4, 8]


@pytest.mark.parametrize("balance", ["start", "none"])
def test_the_simulators_own_frames_have_no_loss(make_task: MakeTask, balance: str) -> None:
    task = make_task(stages=PHYSICS_STAGES, balance=balance)
    batch = task.batch(0)
    terms = task.raw_terms(batch["future"], batch)
    assert set(terms) == {"data", "energy", "momentum"}
    for name, term in terms.items():
        assert float(term) < 1e-8, name


def test_each_physics_term_sees_what_the_data_term_may_miss(make_task: MakeTask) -> None:
    """Balls that exchange their velocities keep neither energy nor momentum, as their masses differ."""
    task = make_task(stages=PHYSICS_STAGES)
    batch = task.batch(0)
    swapped = batch["future"].clone()
    swapped[..., 2:] = swapped[..., [1, 2, 0], 2:]
    terms = task.raw_terms(swapped, batch)
    assert min(float(terms[name]) for name in ("energy", "momentum")) > 1e-2


def test_terms_are_one_at_the_start(make_task: MakeTask) -> None:
    task = make_task(stages=PHYSICS_STAGES)
    everything = task.sampler.rows(np.arange(len(task.data.physics.train)))
    found = task.losses(task.model, everything, 0.5)
    assert [float(found[name].detach()) for name in ("data", "energy", "momentum")] == pytest.approx(
        [1, 1, 0.5], rel=1e-4
    )


def test_the_start_survives_a_checkpoint(make_task: MakeTask) -> None:
    task, other = make_task(stages=PHYSICS_STAGES), make_task(stages=PHYSICS_STAGES, seed=1)
    task.balance.start = {"data": 1.0, "energy": 2.0, "momentum": 3.0}
    other.load_state_dict(task.state_dict())
    assert other.balance.start == task.balance.start


def test_the_log_s_terms_by_hand() -> None:
    """Of features 7 to 12: squares of sums of squares, and of sums, in the mean over frames; one of two is right."""
    true = torch.full((1, 2, 25), 50.0)
    true[..., 7:13] = 1.0
    found = torch.full((1, 2, 25), 60.0)
    found[0, :, 7:13] = torch.tensor([[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [1.0] * 6])
    assert losses.logged_energy(found, true).item() == (91 - 6) ** 2 / 2
    assert losses.logged_momentum(found, true).item() == (21 - 6) ** 2 / 2


def test_the_logs_slice_is_no_velocity(make_task: MakeTask) -> None:
    """It takes energies of ball 1, and positions and velocities of ball 2, for the velocities of all."""
    task = make_task(**LOGGED, slices="log", stages=PHYSICS_STAGES, units="raw", balance="none")
    batch = task.batch(0)
    true = features(batch["future"], batch["balls"], batch["world"], 0.04, 10)
    for column, seen in ((3, False), (4, False), (7, True), (9, True), (11, True), (19, False)):
        wrong = true.clone()
        wrong[..., column] += 1.0
        terms = task.physics_terms(wrong, batch)
        assert (float(terms["momentum"]) > 0.1) is seen, f"feature {column}"
    assert float(losses.logged_energy(true, true)) == 0


def _relobralo(
    weights: Mapping[str, float], now: Mapping[str, float], last: Mapping[str, float], start: Mapping[str, float]
) -> dict[str, tuple[float, float]]:
    """The next weights without and with a look back at the start, written from the paper's formula."""

    def shares(before: Mapping[str, float]) -> dict[str, float]:
        powers = {name: math.exp(now[name] / before[name]) for name in now}
        return {name: len(now) * power / sum(powers.values()) for name, power in powers.items()}

    from_last, from_start = shares(last), shares(start)
    return {
        name: (
            0.999 * weights[name] + 0.001 * from_last[name],
            0.999 * from_start[name] + 0.001 * from_last[name],
        )
        for name in now
    }


def test_relobralo_is_the_papers_formula() -> None:
    balance = losses.Balance("relobralo", {"data": 2.0, "energy": 4.0}, seed=3)
    looked_back = 0
    for step in range(1, 400):
        before, last = dict(balance.weights), dict(balance.last)
        now = {"data": 2.0 / step, "energy": 4.0 / math.sqrt(step)}
        balance.after_step(step, now)
        expected = _relobralo(before, now, last, balance.start)
        back = balance.weights["data"] == pytest.approx(expected["data"][1], rel=1e-9)
        looked_back += back
        for name in now:
            assert balance.weights[name] == pytest.approx(expected[name][int(back)], rel=1e-9)
        assert sum(balance.weights.values()) == pytest.approx(2)
    assert 0 < looked_back < 20
    assert balance.factor("energy") == balance.weights["energy"] / 4.0


def test_relobralo_hears_the_mean_over_micro_batches(make_task: MakeTask) -> None:
    whole, parts = (make_task(stages=PHYSICS_STAGES, balance="relobralo") for _ in range(2))
    batch = whole.batch(0)
    whole.losses(whole.model, batch, 0.0)
    for first, after in ((0, 12), (12, 16)):
        parts.losses(parts.model, {name: rows[first:after] for name, rows in batch.items()}, 0.0)
    for task in (whole, parts):
        task.after_step(1)
    assert whole.balance.last == pytest.approx(parts.balance.last, rel=1e-5)
    assert whole.balance.last != whole.balance.start
