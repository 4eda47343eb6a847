"""Effective perturbation: noise that rounding swallows or magnifies is named."""

from __future__ import annotations

import math

import pytest
import torch

from leadline.task import Perturbation
from leadline.training.guards.perturbation import EffectivePerturbation, _finding, measured
from tests.leadline.training.guards.faulty import FAULTY, config, fired, run


def test_noise_below_the_precision_of_bfloat16_is_named() -> None:
    _, reports = run(FAULTY, config(fault="bf16"), EffectivePerturbation())
    (found,) = list(fired(reports))
    assert found.subject == "z"
    assert found.mark == "perturbation: z"
    assert found.number < 0.5, "the few values that change are small ones"
    assert found.sentence.startswith("z: rms 3.03e-05 asked for, ")


def test_the_same_in_float32_is_not() -> None:
    _, reports = run(FAULTY, config(), EffectivePerturbation())
    assert not [finding for report in reports for finding in report.findings]


def test_the_log_s_own_figures() -> None:
    """sigma 3e-5 on values of size 1: in bfloat16, where those are 2^-8 to 2^-7 apart, fewer than 2 % change."""
    z, noise = torch.randn(2, 100_000, generator=torch.Generator().manual_seed(0))
    asked, _, changed = measured(z.bfloat16(), z.bfloat16() + (3e-5 * noise).bfloat16(), 3e-5)
    assert asked == 3e-5
    assert changed < 0.02
    fine = measured(z, z + 3e-5 * noise, 3e-5)
    assert fine.effective == pytest.approx(3e-5, rel=0.02)
    assert fine.changed > 0.98


def test_measured_takes_the_noise_itself() -> None:
    noise = torch.tensor([3.0, -4.0])
    found = measured(torch.zeros(2), noise, noise)
    assert found.asked == found.effective == pytest.approx(math.sqrt(12.5))
    assert found.changed == 1.0
    double = measured(torch.ones(2, dtype=torch.float64), torch.ones(2, dtype=torch.float64) + 1e-12, 1e-12)
    assert double.effective == pytest.approx(1e-12, rel=1e-3)


@pytest.mark.parametrize(("before", "after"), [(torch.zeros(2), torch.zeros(3)), (torch.zeros(0), torch.zeros(0))])
def test_measured_refuses_what_cannot_be_compared(before: torch.Tensor, after: torch.Tensor) -> None:
    with pytest.raises(ValueError, match=r"^after: expected the shape of before"):
        measured(before, after, 1.0)


@pytest.mark.parametrize(
    ("found", "failed", "number"),
    [
        ((1.0, 1.09, 1.0), False, 1.09),
        ((1.0, 0.91, 1.0), False, 0.91),
        ((1.0, 1.11, 1.0), True, 1.11),
        ((1.0, 0.89, 1.0), True, 0.89),
        ((1.0, 1.0, 0.89), True, 1.0),
        ((1.0, 1.0, 0.91), False, 1.0),
        ((0.0, 0.0, 0.0), False, 1.0),
        ((0.0, 0.5, 1.0), True, math.inf),
    ],
)
def test_the_limits(found: tuple[float, float, float], failed: bool, number: float) -> None:
    finding = _finding("z", [Perturbation(*found)] * 3)
    assert finding.failed == failed
    assert finding.number == pytest.approx(number)


def test_steps_without_noise_do_not_hide_those_with() -> None:
    assert _finding("z", [Perturbation(0.0, 0.0, 0.0), Perturbation(1.0, 1.0, 0.1)]).failed
    assert not _finding("z", [Perturbation(0.0, 0.0, 0.0), Perturbation(1.0, 1.0, 1.0)]).failed
