from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from tests.trainables.physics.boxes import small
from trainables.physics.audit import audit, range_findings
from trainables.physics.episodes import PhysicsData, Windows, build, draw_start, train_pool
from trainables.physics.setting import Setting, log_setting
from trainables.physics.world import REGIMES, TRAINING, Worlds


@pytest.fixture(scope="module")
def data() -> PhysicsData:
    return build(small())


def same(one: Windows, other: Windows) -> bool:
    return all(np.array_equal(getattr(one, field.name), getattr(other, field.name)) for field in fields(Windows))


def failed(data: PhysicsData) -> set[str]:
    return {finding.guard for finding in audit(data) if finding.failed}


def test_the_seed_decides_everything(data: PhysicsData) -> None:
    again, other = build(small()), build(small(seed=1))
    for split in ("train", "validation", "test"):
        assert same(data.scored(split), again.scored(split))
        assert not np.isin(other.scored(split).starts, data.scored(split).starts).any()
    assert not same(data.validation, data.test)
    with pytest.raises(ValueError, match="split: no 'valid'"):
        data.scored("valid")


def test_shapes_and_regimes(data: PhysicsData) -> None:
    setting = data.setting
    cuts = len(setting.starts)
    assert list(setting.starts) == [0, 5, 10, 15, 20]
    assert data.regimes == tuple(one.name for one in REGIMES)
    assert data.train.states.shape == (24 * cuts, 20, 3, 4)
    for windows in (data.validation, data.test):
        assert np.bincount(windows.regime).tolist() == [12 * cuts, *[3 * cuts] * 19]
        assert len(windows.worlds) == 12 + 19 * 3
        # All windows of an episode are of one regime, and there are as many of each.
        assert np.bincount(windows.episode).tolist() == [cuts] * len(windows.worlds)
        outside = [windows.distance[windows.regime == place].max() for place in range(20)]
        assert outside[0] == 0 < min(outside[1:])
    assert data.train.states.dtype == data.train.world.dtype == np.float32
    assert (data.train.distance == 0).all()


def test_windows_are_pieces_of_their_episode(data: PhysicsData) -> None:
    windows = data.test
    first, second = windows.states[0::5], windows.states[1::5]
    np.testing.assert_array_equal(first[:, 5:], second[:, :15])
    np.testing.assert_array_equal(windows.time[:5], np.arange(5) * 5 * 0.04)
    np.testing.assert_array_equal(first[:, 0], windows.starts.astype(np.float32))
    energy = windows.kinetic + windows.potential
    constant = windows.world[:, 4] == 0
    balance = np.diff(energy)[constant] + windows.lost[constant, 1:]
    assert np.abs(balance).mean() < 1e-3 * np.abs(energy).mean()
    momentum = np.einsum("nb,ntba->nta", windows.mass, windows.states[..., 2:])
    np.testing.assert_allclose(np.diff(momentum, axis=1), windows.impulse[:, 1:], atol=1e-5)
    # A ball turns round only where it met something.
    quiet = ~windows.met(10).any(axis=1)
    turned = (np.sign(windows.states[:, 10:-1, :, 2]) != np.sign(windows.states[:, 11:, :, 2])).any(axis=(1, 2))
    assert quiet.any()
    assert turned.any()
    assert not (quiet & turned).any()


def test_a_common_first_frame_makes_all_predict_the_same() -> None:
    few, many = (build(small(seen=seen, common=12)) for seen in (2, 10))
    for split in ("train", "validation", "test"):
        np.testing.assert_array_equal(few.scored(split).states[:, 2:], many.scored(split).states[:, 10:])
        np.testing.assert_array_equal(few.scored(split).states[:, :2], many.scored(split).states[:, 8:10])
    assert many.train.time[0] == pytest.approx(2 * 0.04)
    assert not [finding for finding in audit(many) if finding.failed]


@pytest.mark.parametrize("setting", [small(fewest=1, balls=4), log_setting()])
def test_balls_begin_in_the_box_and_apart(setting: Setting) -> None:
    start = draw_start(setting, 500, np.random.default_rng(0))
    radius = start.radius[..., None]
    assert (start.position >= radius).all()
    assert (start.position <= np.array(setting.box) - radius).all()
    i, j = np.triu_indices(setting.balls, 1)
    apart = np.linalg.norm(start.position[:, i] - start.position[:, j], axis=-1)
    assert (apart > start.radius[:, i] + start.radius[:, j]).all()
    assert set(start.present.sum(axis=1).tolist()) == set(range(setting.fewest, setting.balls + 1))
    assert start.radius.min() >= setting.radii[0]
    assert np.abs(start.velocity).max() == pytest.approx(setting.speed, rel=0.01)


def test_absent_balls_are_zero() -> None:
    data = build(small(fewest=1, balls=4, regimes=()))
    windows = data.train
    assert 0 < windows.present.mean() < 1
    assert (windows.states.swapaxes(1, 2)[~windows.present] == 0).all()
    assert (windows.mass[~windows.present] == 0).all()
    assert (windows.mass[windows.present] > 0).all()


def test_randomisation_reaches_the_worlds_and_the_frames(data: PhysicsData) -> None:
    setting = data.setting
    pool = train_pool(setting, randomise=0.3)
    np.testing.assert_array_equal(pool.starts, data.train.starts)
    assert same(train_pool(setting), data.train)
    assert not same(pool, data.train)
    assert (np.abs(pool.worlds[:, :3] / data.train.worlds[:, :3] - 1) <= 0.3 + 1e-12).all()
    assert (pool.distance > 0).mean() > 0.2
    moved = np.abs(pool.states - data.train.states)[:, -1].max(axis=(1, 2))
    assert (moved > 1e-3).mean() > 0.9
    np.testing.assert_array_equal(pool.world, pool.worlds[pool.episode].astype(np.float32))
    assert len(train_pool(setting, episodes=7).worlds) == 7


def test_the_audit_passes_and_states_the_ranges(data: PhysicsData) -> None:
    findings = audit(data)
    assert not [finding for finding in findings if finding.failed]
    assert sum(finding.guard.startswith("overlap") for finding in findings) == 6
    shares = {finding.subject: finding.number for finding in findings if finding.guard == "shared_ranges"}
    assert list(shares) == list(data.regimes)
    assert shares["inside"] == 1
    assert shares["jupiter"] == shares["strong_gravity"] == 0
    wide = {finding.subject: finding.number for finding in range_findings(data.regimes, TRAINING, 0.3)}
    assert wide["strong_gravity"] == pytest.approx((3 * 1.3 - 3.75) / 1.25)


@pytest.mark.parametrize("split", ["validation", "test"])
def test_the_audit_finds_an_episode_in_two_splits(data: PhysicsData, split: str) -> None:
    leaky = replace(data, validation=data.train) if split == "validation" else replace(data, test=data.train)
    assert failed(leaky) == {f"overlap_{split}_episodes", f"overlap_{split}_worlds"}
    both = failed(replace(data, test=data.validation))
    assert both == {"overlap_test_episodes_in_validation", "overlap_test_worlds_in_validation"}


def test_the_audit_finds_one_world_that_is_trained_on(data: PhysicsData) -> None:
    worlds = data.test.worlds.copy()
    worlds[5] = data.train.worlds[7]
    leaky = replace(data.test, worlds=worlds, world=Worlds(worlds).values[data.test.episode].astype(np.float32))
    assert "overlap_test_worlds" in failed(replace(data, test=leaky))
    # A leak that its keys hide: the windows of a training episode under the name of a test episode.
    states, time = data.test.states.copy(), data.test.time
    states[time == 0] = data.train.states[0]
    assert failed(replace(data, test=replace(data.test, states=states))) == {"windows_of_test", "simulated_test"}


def test_the_audit_finds_frames_of_another_world(data: PhysicsData) -> None:
    strange = replace(data.validation, states=np.roll(data.validation.states, 5, axis=0))
    assert "simulated_validation" in failed(replace(data, validation=strange))
