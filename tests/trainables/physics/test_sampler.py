"""The rows of a step: shares and kinds of each stage, and the symmetries."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from leadline.config import ConfigError
from tests.trainables.physics.conftest import MakeTask
from trainables.physics import losses
from trainables.physics.episodes import train_pool
from trainables.physics.sampler import NEAR_EDGE, arrays, edge_distance
from trainables.physics.task import PhysicsTask
from trainables.physics.world import PARAMETERS


def _worlds(task: PhysicsTask, step: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return task.batch(step)["world"].numpy()


def _inside(task: PhysicsTask, step: int) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    bounds = task.data.physics.setting.training.bounds
    worlds = _worlds(task, step)[:, :4]
    return np.asarray(((worlds >= bounds[:4, 0]) & (worlds <= bounds[:4, 1])).all(1))


def test_the_share_of_randomised_rows_is_that_of_the_stage(make_task: MakeTask) -> None:
    """On its ramp too; and their worlds, as the network is told, are those that were simulated."""
    task = make_task(stages="plain:1/2,randomised:1/2:randomise=1:ramp=1", batch=64)
    plain = {row.tobytes() for row in task.data.physics.train.world}
    pool = train_pool(task.data.physics.setting, task.config.width_of_randomisation)
    randomised = {row.tobytes() for row in pool.world}
    for step, share in ((0, 0.0), (19, 0.0), (25, 0.25), (30, 0.5), (39, 0.95)):
        worlds = [row.tobytes() for row in _worlds(task, step)]
        assert sum(row in randomised for row in worlds) == round(64 * share)
        assert sum(row in plain for row in worlds) == 64 - round(64 * share)


def test_randomisation_reaches_worlds_outside_the_training_box(make_task: MakeTask) -> None:
    task = make_task(stages="plain:1/2,randomised:1/2:randomise=1", batch=64)
    assert _inside(task, 0).all()
    assert 0.1 < 1 - _inside(task, 39).mean() < 0.9


def test_unused_randomisation_draws_numbers_that_change_no_row(make_task: MakeTask) -> None:
    stages = "plain:1/2,randomised:1/2:randomise=1"
    task, plain = make_task(stages=stages, randomisation="unused"), make_task()
    found, expected = task.batch(30), plain.batch(30)
    assert set(found) - set(expected) == {"randomised"}
    assert not torch.equal(found["randomised"], found["world"][:, :2])
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_edge_rows_are_those_nearest_to_the_edge(make_task: MakeTask) -> None:
    task = make_task(stages="plain:1/2,edge:1/2:edge=1", batch=256)
    bounds = task.data.physics.setting.training.bounds
    every = edge_distance(task.data.physics.train.world.astype(np.float64), bounds)
    limit = np.quantile(every, NEAR_EDGE)
    for step, share in ((0, NEAR_EDGE), (39, 1.0)):
        near = edge_distance(_worlds(task, step).astype(np.float64), bounds) <= limit
        assert near.mean() == pytest.approx(share, abs=0.12 * (share < 1))


def test_the_distance_to_the_edge_by_hand() -> None:
    bounds = np.array([[0.0, 10.0], [0.0, 1.0], [0.5, 0.5]])
    assert edge_distance(np.array([[1.0, 0.4, 0.5], [9.5, 0.5, 0.5]]), bounds) == pytest.approx([0.1, 0.05])


@pytest.mark.parametrize(("words", "walls", "balls"), [("walls", True, False), ("balls", None, True)])
def test_contacts_choose_windows(make_task: MakeTask, words: str, walls: bool | None, balls: bool) -> None:
    task = make_task(stages=f"some:1:contacts={words}", symmetries=False)
    windows = task.data.physics.train
    met = windows.met(task.config.seen)
    place = {states.tobytes(): i for i, states in enumerate(windows.states[:, : task.config.seen])}
    found = np.array([met[place[seen.numpy().tobytes()]] for seen in task.batch(5)["seen"].contiguous()])
    assert (found[:, 1] == balls).all()
    assert walls is None or (found[:, 0] == walls).all()


def test_a_stage_without_windows_is_refused(make_task: MakeTask) -> None:
    """Of a single ball, no windows have balls that meet."""
    with pytest.raises(ConfigError, match=r"^stages: late: no plain window whose contacts are balls$"):
        make_task(balls=1, fewest=1, stages="early:1/2,late:1/2:contacts=balls")


def test_symmetries_leave_the_physics_as_it_is(make_task: MakeTask) -> None:
    """Rows that were turned obey the books, and the flights are those of turned windows."""
    stages = "joint:1:energy=1:momentum=1"
    turned, plain = (make_task(symmetries=on, stages=stages, batch=64, fewest=1) for on in (True, False))
    found, before = turned.batch(3), plain.batch(3)
    assert torch.equal(found["world"], before["world"])
    assert not torch.equal(found["seen"], before["seen"])
    assert all(float(term) < 1e-8 for term in turned.raw_terms(found["future"], found).values())
    scale, there = turned.net.state_scale, [rows["balls"][..., 2] for rows in (found, before)]
    errors = [
        losses.squared(rows["flight"], rows["future"], scale, present)
        for rows, present in zip((found, before), there, strict=True)
    ]
    assert errors[0].tolist() == pytest.approx(errors[1].tolist(), rel=1e-3, abs=1e-6)
    width = turned.data.physics.setting.box[0]
    x = found["seen"][..., 0].transpose(1, 2)[there[0] > 0]
    assert ((x > 0) & (x < width)).all()


def test_gravity_varies_where_it_does_in_the_simulator(make_task: MakeTask) -> None:
    """Energies of the true frames are those of the books, so that gravity is right at each frame."""
    task = make_task()
    windows = task.data.physics.validation
    found = {name: torch.tensor(array) for name, array in arrays(task.config, task.data, windows).items()}
    energy = losses.energy(found["future"], found["balls"][..., 0], found["gravity"])
    assert torch.allclose(energy, found["energy"], rtol=1e-4, atol=1e-4)
    varying = windows.world[:, PARAMETERS.index("amplitude")] > 0
    assert varying.any()
    assert (np.ptp(found["gravity"].numpy(), axis=1) > 0).tolist() == varying.tolist()


def test_a_ramp_away_from_a_pool_without_such_windows_is_refused(make_task: MakeTask) -> None:
    """The second stage asks for no edge row, but its ramp begins with those of the first."""
    stages = "edge:1/2:edge=1,meeting:1/2:contacts=balls:ramp=1"
    few = {"episodes": 3, "frames": 20, "seen": 3, "horizon": 3, "stride": 10, "batch": 8, "data_seed": 15}
    with pytest.raises(ConfigError, match="stages: meeting: no edge window whose contacts are balls"):
        make_task(stages=stages, **few)
    assert len(make_task(stages=stages.replace(":ramp=1", ""), **few).batch(39)["world"]) == 8
