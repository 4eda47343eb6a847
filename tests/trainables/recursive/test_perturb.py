"""The noise on latent starts: of the size that was asked for, centred, its row's own, and there after rounding."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch

from leadline.curriculum import StageClock
from leadline.measure import Measure
from leadline.training.guards.guard import Interval
from leadline.training.guards.perturbation import EffectivePerturbation, measured
from trainables.recursive.config import TRMConfig
from trainables.recursive.family import TRM_FAMILY
from trainables.recursive.perturb import Starts, arrived, grown, starts

ROWS, POSITIONS, WIDTH = 40, 4, 32
MULTI: dict[str, Any] = {"mode": "multi_perturbed_ce", "k": 4, "ramp": 0.0}


def config(**fields: Any) -> TRMConfig:
    return TRMConfig(**{**MULTI, **fields})


def drawn(one: TRMConfig, progress: float = 1.0, rows: int = ROWS) -> tuple[Starts, torch.Tensor, torch.Tensor]:
    """The starts, and the noise in z_H and z_L: [K, rows, positions, width]."""
    generator = torch.Generator().manual_seed(1)
    z_h, z_l = torch.randn(2, rows, POSITIONS, WIDTH, generator=generator)
    found = starts(one, z_h, z_l, torch.arange(rows), grown(one, None, progress))
    shape = (one.trajectories, rows, POSITIONS, WIDTH)
    return found, found.z_h.view(shape) - z_h, found.z_l.view(shape) - z_l


def test_size_and_centre() -> None:
    """Of all noise together, a standard deviation within 2 % and a mean within four standard errors of 0."""
    found, noise_h, noise_l = drawn(config(noise="fixed", sigma_max=0.01))
    for noise in (noise_h, noise_l):
        assert not noise[0].any(), "the first trajectory is clean"
        assert float(noise[1:].std()) == pytest.approx(0.01, rel=0.02)
        assert abs(float(noise[1:].mean())) < 4 * 0.01 / noise[1:].numel() ** 0.5
    assert abs(float(torch.corrcoef(torch.stack([noise_h[1:].flatten(), noise_l[1:].flatten()]))[0, 1])) < 0.03
    assert set(found.sigma.view(4, ROWS)[1:].flatten().tolist()) == {float(torch.tensor(0.01))}


def test_a_band_is_log_uniform_by_trajectory() -> None:
    found, noise, _ = drawn(config(sigma_min=1e-4, sigma_max=1e-1), rows=400)
    sigma = found.sigma.view(4, 400)[1:]
    assert float(sigma.min()) >= 1e-4
    assert float(sigma.max()) <= 1e-1
    decades = torch.histc(sigma.log10(), 3, -4, -1) / sigma.numel()
    assert decades.tolist() == pytest.approx([1 / 3] * 3, abs=0.06)
    assert torch.allclose(noise[1:].flatten(2).std(-1), sigma, rtol=0.3)


def test_a_grid_is_drawn_from() -> None:
    sigma = drawn(config(noise="grid", sigmas=(0.1, 0.2, 0.4)))[0].sigma.view(4, ROWS)[1:]
    counts = Counter(round(value, 6) for value in sigma.flatten().tolist())
    assert set(counts) == {0.1, 0.2, 0.4}
    assert min(counts.values()) > 20


def test_some_are_left_clean() -> None:
    sigma = drawn(config(p_clean=0.25), rows=400)[0].sigma.view(4, 400)
    assert not sigma[0].any()
    assert float((sigma[1:] == 0).double().mean()) == pytest.approx(0.25, abs=0.04)
    single = drawn(config(mode="single_perturbed_ce"))[0].sigma
    assert len(single) == ROWS, "one trajectory"
    assert (single > 0).all(), "and none of them clean"


def test_the_ramp_scales_the_same_noise() -> None:
    half = config(ramp=0.5)
    assert [grown(half, None, progress) for progress in (0.0, 0.25, 0.5, 1.0)] == [0.0, 0.5, 1.0, 1.0]
    (_, early, _), (_, late, _) = drawn(half, 0.25), drawn(half, 0.9)
    torch.testing.assert_close(2 * early, late, atol=1e-6, rtol=0)
    assert not drawn(half, 0.0)[1].any()


def test_noise_begins_after_a_clean_warm_up() -> None:
    one = config(stages="clean:1/4,noisy:3/4:noise=0.5:ramp=0.5", steps=80)
    assert one.curriculum is not None
    clock = StageClock(one.curriculum, one.steps)
    found = [grown(one, clock, step / 80) for step in (0, 19, 20, 35, 50, 79)]
    assert found == [0, 0, 0, 0.25, 0.5, 0.5]
    assert "ramp=0.0 has no effect with stages" in one.unused()
    assert config(ramp=0.1).unused() == []


@pytest.mark.parametrize(
    ("location", "moved"), [("z_H", (True, False)), ("z_L", (False, True)), ("both", (True, True))]
)
def test_location(location: str, moved: tuple[bool, bool]) -> None:
    _, *noise = drawn(config(location=location))
    assert tuple(bool(part.any()) for part in noise) == moved


def test_a_row_has_its_own_noise() -> None:
    """Whatever rows are beside it; and no two rows have the same."""
    one = config()
    z_h, z_l = torch.zeros(2, ROWS, POSITIONS, WIDTH)
    seeds = torch.arange(ROWS)
    everything = starts(one, z_h, z_l, seeds, 1.0).z_h.view(4, ROWS, -1)
    alone = starts(one, z_h[:3], z_l[:3], seeds[5:8], 1.0).z_h.view(4, 3, -1)
    assert torch.equal(alone, everything[:, 5:8])
    assert len({row.numpy().tobytes() for row in everything[1:].flatten(0, 1)}) == 3 * ROWS


def missing(found: dict[str, Any]) -> list[str]:
    """The noises that the guard finds not to be what was asked for."""
    assert found
    guard = EffectivePerturbation()
    guard._looked = {name: [noise] for name, noise in found.items()}
    interval = Interval(1, 1, 1, 1.0, torch.zeros(1).numpy().astype(float), (1e-3,), Measure.exact(0.0), minimise=False)
    return [finding.mark for finding in guard.report(interval) if finding.failed]


@pytest.mark.parametrize("sigma", [3e-5, 3e-4, 3e-3])
def test_small_noise_arrives_in_float32_and_would_not_in_bfloat16(sigma: float) -> None:
    """The log's band: in the references' precision, its lower end changes next to nothing."""
    one = config(noise="fixed", sigma_max=sigma, mode="single_perturbed_ce")
    z_h, z_l = torch.randn(2, ROWS, POSITIONS, WIDTH, generator=torch.Generator().manual_seed(2))
    found = starts(one, z_h, z_l, torch.arange(ROWS), 1.0)
    assert missing(arrived(one, (z_h, z_l), found)) == []
    half = z_h.bfloat16()
    rounded = measured(half, half + (found.z_h - z_h).bfloat16(), sigma)
    assert rounded.changed < {3e-5: 0.02, 3e-4: 0.1, 3e-3: 0.6}[sigma]
    assert missing({"z_H": rounded}) == ["perturbation: z_H"]


def test_states_stay_in_float32_under_bfloat16() -> None:
    """So that noise far below bfloat16's resolution reaches the first update, and the carry."""
    small = {
        "train_boards": 8,
        "validation_boards": 4,
        "test_boards": 4,
        "batch": 4,
        "hidden": 16,
        "heads": 2,
        "round_to": 16,
    }
    one = TRMConfig(**{**MULTI, **small, "precision": "bfloat16", "noise": "fixed", "sigma_max": 3e-5})
    task = TRM_FAMILY.task(one, TRM_FAMILY.build_data(one), torch.device("cpu"))
    terms = task.losses(task.model, task.batch(0), 0.5)
    torch.autograd.backward(torch.stack(list(terms.values())).sum())
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in task.net.parameters())
    assert missing(dict(task.perturbations())) == []
    task.after_step(1)
    assert task.carried()["z_h"].dtype == task.carried()["z_l"].dtype == torch.float32
    clean, *noisy = task.carried()["z_h"].unbind(1)
    assert all(not torch.equal(clean, other) for other in noisy)


def test_nothing_is_judged_below_what_float32_resolves() -> None:
    one = config(noise="fixed", sigma_max=1e-7)
    z_h, z_l = torch.randn(2, ROWS, POSITIONS, WIDTH)
    assert arrived(one, (z_h, z_l), starts(one, z_h, z_l, torch.arange(ROWS), 1.0)) == {}


@pytest.mark.parametrize(("location", "idle"), [("z_H", False), ("z_L", True), ("both", True)])
def test_noise_on_a_z_l_that_there_is_not_is_named(location: str, idle: bool) -> None:
    said = f"location={location}: noise on z_L has no effect with l_cycles=0"
    assert (said in config(l_cycles=0, location=location).unused()) == idle
    assert said not in config(location=location).unused()
    assert said not in config(l_cycles=0, location=location, mode="none").unused()
