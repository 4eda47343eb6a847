from __future__ import annotations

import math

import numpy as np
import pytest

from tests.trainables.physics.boxes import one_episode
from trainables.physics.episodes import draw_start
from trainables.physics.record import Books, Episodes, Start
from trainables.physics.setting import Setting
from trainables.physics.simulator import simulate
from trainables.physics.trivial import flight
from trainables.physics.world import F64, TRAINING, Worlds

DT = 0.04
HUGE = (1e3, 1e3)


def states(episodes: Episodes) -> F64:
    return np.concatenate([episodes.position, episodes.velocity], axis=-1)


def drawn(count: int, *, balls: int = 3, seed: int = 0, speed: float = 2.0) -> Start:
    setting = Setting(fewest=1, balls=balls, speed=speed)
    return draw_start(setting, count, np.random.default_rng(seed))


def books_of(episodes: Episodes) -> Books:
    assert episodes.books is not None
    return episodes.books


def test_free_flight_without_drag_is_a_parabola_at_any_step() -> None:
    start = one_episode((500.0, 500.0, 3.0, 4.0, 1.0, 0.1))
    found = simulate(Worlds.of(gravity=9.81), start, 50, DT, 1, box=HUGE)
    t = DT * np.arange(50)
    np.testing.assert_allclose(found.position[0, :, 0, 0], 500 + 3 * t, rtol=1e-14)
    np.testing.assert_allclose(found.position[0, :, 0, 1], 500 + 4 * t - 9.81 * t**2 / 2, rtol=1e-14)
    np.testing.assert_allclose(found.velocity[0, :, 0, 1], 4 - 9.81 * t, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("damping", [0.3, 0.9, 1 - 1e-9, 1.0])
def test_flight_with_drag_is_its_closed_form(damping: float) -> None:
    start = one_episode((500.0, 500.0, 3.0, 4.0, 1.0, 0.1))
    worlds = Worlds.of(gravity=9.81, damping=damping)
    t = DT * np.arange(25.0)
    expected = flight(states(simulate(worlds, start, 1, DT, box=HUGE))[0, 0], np.array(9.81), worlds.drag, t[:, None])
    errors = [
        np.abs(states(simulate(worlds, start, 25, DT, substeps, box=HUGE))[0] - expected).max() for substeps in (8, 16)
    ]
    assert errors[1] < 2e-5
    assert errors[1] < max(errors[0] / 3.9, 1e-10)  # of second order


def test_the_series_of_the_closed_form_meets_its_formula() -> None:
    state, gravity, time = np.array([0.0, 0.0, 1.0, 2.0]), np.array(9.81), np.array(1.0)
    below, above = (flight(state, gravity, np.array(drag), time) for drag in (0.01 - 1e-12, 0.01 + 1e-12))
    np.testing.assert_allclose(below, above, rtol=1e-10)
    np.testing.assert_allclose(flight(state, gravity, np.array(0.0), time), [1.0, 2 - 9.81 / 2, 1.0, 2 - 9.81])


def test_a_gravity_that_varies_follows_its_integral() -> None:
    start = one_episode((500.0, 500.0, 0.0, 0.0, 1.0, 0.1), time=0.3)
    worlds = Worlds.of(gravity=2.0, amplitude=0.5, frequency=1.5)
    found = simulate(worlds, start, 30, DT, 8, box=HUGE)
    t, rate = DT * np.arange(30), 2 * math.pi * 1.5
    fallen = 2.0 * (t - 0.5 / rate * (np.cos(rate * (t + 0.3)) - math.cos(rate * 0.3)))
    np.testing.assert_allclose(found.velocity[0, :, 0, 1], -fallen, atol=2e-4)


@pytest.mark.parametrize("e", [0.0, 0.35, 1.0])
def test_two_balls_that_meet_head_on(e: float) -> None:
    m, n, u, w = 0.5, 2.0, 1.5, -0.5
    start = one_episode((0.5, 0.75, u, 0.0, m, 0.1), (1.5, 0.75, w, 0.0, n, 0.2))
    found = simulate(Worlds.of(elasticity=e), start, 12, 0.05, 1)
    first = (m * u + n * w + n * e * (w - u)) / (m + n)
    second = (m * u + n * w + m * e * (u - w)) / (m + n)
    np.testing.assert_allclose(found.velocity[0, -1, :, 0], [first, second], atol=1e-12)
    # They are 0.7 m apart at first and approach by 2 m/s.
    meeting, left = 0.35, 11 * 0.05 - 0.35
    places = [0.5 + u * meeting + first * left, 1.5 + w * meeting + second * left]
    np.testing.assert_allclose(found.position[0, -1, :, 0], places, atol=1e-12)
    lost = 0.5 * m * n / (m + n) * (1 - e**2) * (u - w) ** 2
    assert books_of(found).ball.sum() == pytest.approx(lost, abs=1e-13)
    assert found.contacts[0, :, 1].sum() == 1


@pytest.mark.parametrize("e", [0.35, 1.0])
def test_a_ball_rebounds_from_the_floor_at_the_right_moment(e: float) -> None:
    g, height = 2.0, 0.64  # so that it falls for 0.8 s and lands with 1.6 m/s
    found = simulate(Worlds.of(gravity=g, elasticity=e), one_episode((1.0, 0.1 + height, 0, 0, 1, 0.1)), 27, DT, 1)
    after = 26 * DT - 0.8
    assert found.velocity[0, -1, 0, 1] == pytest.approx(e * 1.6 - g * after, abs=1e-12)
    assert found.position[0, -1, 0, 1] == pytest.approx(0.1 + e * 1.6 * after - g * after**2 / 2, abs=1e-12)
    assert books_of(found).wall.sum() == pytest.approx(0.5 * (1 - e**2) * 1.6**2, abs=1e-12)


def test_friction_is_coulombs() -> None:
    # 0.5 m of fall; the floor changes the normal velocity by (1 + e) v, and the other by mu times it.
    g, e, mu = 2.0, 0.5, 0.3
    fall = math.sqrt(2 * g * 0.5)
    found = simulate(
        Worlds.of(gravity=g, elasticity=e, friction=mu), one_episode((0.5, 0.6, 1.0, 0.0, 2.0, 0.1)), 20, DT, 1
    )
    expected = 1.0 - mu * (1 + e) * fall
    assert found.velocity[0, -1, 0, 0] == pytest.approx(expected, abs=1e-12)
    assert books_of(found).friction.sum() == pytest.approx(1.0 - expected**2, abs=1e-12)
    stopped = simulate(Worlds.of(gravity=g, friction=5.0), one_episode((0.5, 0.6, 1.0, 0.0, 2.0, 0.1)), 20, DT, 1)
    assert stopped.velocity[0, -1, 0, 0] == 0


def test_a_ball_at_rest_stays_and_slides_to_a_halt() -> None:
    g, mu = 2.0, 0.25
    worlds = Worlds.of(gravity=g, elasticity=0.5, friction=mu)
    found = simulate(worlds, one_episode((0.5, 0.1, 1.0, 0.0, 1.0, 0.1)), 60, DT, 2)
    t = DT * np.arange(60)
    np.testing.assert_allclose(found.velocity[0, :, 0, 0], np.maximum(0.0, 1.0 - mu * g * t), atol=1e-9)
    np.testing.assert_allclose(found.position[0, :, 0, 1], 0.1, atol=1e-9)


@pytest.mark.parametrize("gravity", [0.0, 2.0, -2.0])
@pytest.mark.parametrize("balls", [1, 3])
def test_an_elastic_box_keeps_its_energy(gravity: float, balls: int) -> None:
    found = books_of(simulate(Worlds.of(100, gravity=gravity), drawn(100, balls=balls), 200, DT))
    size = np.abs(found.kinetic).max(axis=1) + np.abs(found.potential).max(axis=1)
    assert (np.abs(found.energy - found.energy[:, :1]).max(axis=1) / size).max() < 1e-12


def test_the_books_balance() -> None:
    worlds = TRAINING.draw(300, np.random.default_rng(1)).changed(frequency=1.0)
    swinging = np.tile([0.0, 0.5], 150)
    episodes = simulate(worlds.changed(amplitude=swinging), drawn(300, balls=4), 100, DT)
    books = books_of(episodes)
    size = (np.abs(books.kinetic) + np.abs(books.potential)).max()
    change = books.work - books.lost + books.integrator
    assert np.abs(np.diff(books.kinetic) - change[:, 1:]).max() < 1e-12 * size
    momentum = np.einsum("eb,efba->efa", episodes.mass, episodes.velocity)
    assert np.abs(np.diff(momentum, axis=1) - books.impulse[:, 1:]).max() < 1e-12 * np.abs(momentum).max()
    constant = swinging == 0
    assert np.abs(books.work[constant, 1:] + np.diff(books.potential[constant])).max() < 1e-12 * size
    for name in ("damping", "wall", "friction", "ball"):
        assert getattr(books, name).min() > -1e-12 * size
        assert getattr(books, name).sum() > 0
    assert np.abs(books.integrator).sum() < 0.02 * books.lost.sum()
    assert (books.energy[constant, -1] < books.energy[constant, 0]).all()


def test_balls_stay_in_the_box_and_apart() -> None:
    found = simulate(TRAINING.draw(200, np.random.default_rng(2)), drawn(200, balls=4), 100, DT, books=False)
    there = found.present[:, None, :, None]
    radius = found.radius[:, None, :, None]
    gap = np.minimum(found.position - radius, np.array([2.0, 1.5]) - found.position - radius)
    assert gap[np.broadcast_to(there, gap.shape)].min() > -0.02
    assert (found.position[~found.present[:, 0]] == 0).all()
    i, j = np.triu_indices(4, 1)
    apart = np.linalg.norm(found.position[:, :, i] - found.position[:, :, j], axis=-1)
    overlap = (found.radius[:, i] + found.radius[:, j])[:, None] - apart
    both = np.broadcast_to((found.present[:, i] & found.present[:, j])[:, None], overlap.shape)
    assert (overlap[both] > 0.01).mean() < 1e-3


def test_smaller_steps_come_closer() -> None:
    worlds, start = TRAINING.draw(100, np.random.default_rng(3)), drawn(100, speed=0.5)
    fine = states(simulate(worlds, start, 20, DT, 64, books=False))
    errors = [((states(simulate(worlds, start, 20, DT, n, books=False)) - fine) ** 2).mean() for n in (1, 4, 16)]
    assert errors[2] < errors[1] / 2 < errors[0] / 4


def test_episodes_do_not_depend_on_each_other_nor_on_their_books() -> None:
    worlds, start = TRAINING.draw(1100, np.random.default_rng(4)), drawn(1100)
    every = simulate(worlds, start, 10, DT)
    rows = np.array([3, 1023, 1024, 1099])
    some = simulate(worlds[rows], start[rows], 10, DT, books=False)
    np.testing.assert_array_equal(every.position[rows], some.position)
    np.testing.assert_array_equal(every.contacts[rows], some.contacts)


def test_balls_fly_through_each_other_without_their_contacts() -> None:
    start = one_episode((0.5, 0.75, 1.5, 0.0, 1.0, 0.1), (1.5, 0.75, -1.5, 0.0, 1.0, 0.1))
    found = simulate(Worlds.of(), start, 14, DT, ball_contacts=False)
    np.testing.assert_allclose(found.velocity[0, -1, :, 0], [1.5, -1.5])
    assert found.contacts[..., 1].sum() == 0
