"""Perturbed latent starts: z_0 + eps with eps ~ N(0, sigma^2 I).

Noise is always centred on the clean start, and always drawn and added in float32. In bfloat16,
whose unit in the last place at 1 is 2^-8, a sigma of 3e-5 would leave all but 0.4 % of the
coordinates as they were.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from leadline.curriculum import StageClock
from leadline.task import Perturbation
from leadline.training.guards.perturbation import measured
from trainables.recursive.config import RecursiveConfig

__all__ = ["Starts", "arrived", "grown", "starts", "together"]

RESOLVED = 1e-5
"""The least sigma that is judged.

Below it float32 itself leaves some coordinates of size 1 as they were.
"""


class Starts(NamedTuple):
    """The starts of K trajectories of each row, the k-th of all rows before the next.

    Attributes:
        z_h, z_l: float32 [K * rows, positions, width].
        sigma: standard deviation of each start's noise, float32 [K * rows]; 0 where there is none.
    """

    z_h: Tensor
    z_l: Tensor
    sigma: Tensor


def grown(config: RecursiveConfig, clock: StageClock | None, progress: float) -> float:
    """Returns the share, in [0, 1], that the noise has grown to at a share of the budget."""
    if clock is not None:
        return clock.during(progress).number("noise")
    return min(1.0, progress / config.ramp) if config.ramp else 1.0


def _sigmas(config: RecursiveConfig, chance: Tensor, scale: float) -> Tensor:
    """Returns the sigmas of K trajectories from uniform numbers, float64 [2, K].

    The first of several trajectories is clean.
    """
    drawn, clean = chance
    if config.noise == "fixed":
        sigma = torch.full_like(drawn, config.sigma_max)
    elif config.noise == "grid":
        grid = torch.tensor(config.sigmas, dtype=drawn.dtype)
        sigma = grid[(drawn * len(grid)).long()]
    else:
        low, high = math.log(config.sigma_min), math.log(config.sigma_max)
        sigma = torch.exp(low + drawn * (high - low))
    sigma = torch.where(clean < config.p_clean, 0.0, sigma * scale)
    if config.mode == "multi_perturbed_ce":
        sigma[0] = 0.0
    return sigma


def starts(config: RecursiveConfig, z_h: Tensor, z_l: Tensor, seeds: Tensor, share: float) -> Starts:
    """Returns the perturbed starts.

    Each row has a generator of its own, so its noise does not depend on the rows of its
    micro-batch.

    Args:
        config: says what noise is wanted, and where.
        z_h, z_l: clean starts, float32 [rows, positions, width].
        seeds: int64 [rows].
        share: what the noise has grown to, in [0, 1].
    """
    count = config.trajectories
    clean_h, clean_l = z_h.repeat(count, 1, 1), z_l.repeat(count, 1, 1)
    sigma = torch.zeros(len(seeds), count, dtype=torch.float64)
    if config.mode == "none" or not share:
        return Starts(clean_h, clean_l, sigma.T.reshape(-1).float().to(z_h.device))
    wanted = {"z_H": config.location != "z_L", "z_L": config.location != "z_H"}
    noise = {name: torch.zeros(len(seeds), count, *z_h.shape[1:]) for name, used in wanted.items() if used}
    generator = torch.Generator()
    for row, seed in enumerate(seeds.tolist()):
        generator.manual_seed(seed)
        sigma[row] = _sigmas(config, torch.rand(2, count, generator=generator, dtype=torch.float64), share)
        for drawn in noise.values():
            torch.randn(drawn[row].shape, generator=generator, out=drawn[row])
    factor = sigma.float()[..., None, None]
    added = {name: (drawn * factor).transpose(0, 1).flatten(0, 1).to(z_h.device) for name, drawn in noise.items()}
    return Starts(
        clean_h + added["z_H"] if "z_H" in added else clean_h,
        clean_l + added["z_L"] if "z_L" in added else clean_l,
        sigma.T.reshape(-1).float().to(z_h.device),
    )


def arrived(config: RecursiveConfig, clean: tuple[Tensor, Tensor], found: Starts) -> dict[str, Perturbation]:
    """Measures what the noise has done to the starts, by latent state.

    Nothing is returned if no sigma can be resolved.

    Args:
        config: the configuration.
        clean: z_H and z_L without noise, float32 [rows, positions, width].
        found: the starts as the model gets them.
    """
    judged = found.sigma >= RESOLVED
    if not judged.any():
        return {}
    asked = float(found.sigma[judged].double().square().mean().sqrt())
    pairs = {"z_H": (clean[0], found.z_h), "z_L": (clean[1], found.z_l)}
    return {
        name: measured(before.repeat(config.trajectories, 1, 1)[judged], after[judged], asked)
        for name, (before, after) in pairs.items()
        if config.location in ("both", name)
    }


def together(parts: Sequence[Mapping[str, Perturbation]]) -> dict[str, Perturbation]:
    """Joins the measures of several micro-batches of about the same size, by latent state."""
    by_state: dict[str, list[Perturbation]] = {}
    for part in parts:
        for name, found in part.items():
            by_state.setdefault(name, []).append(found)

    def rms(values: list[float]) -> float:
        return math.sqrt(math.fsum(value**2 for value in values) / len(values))

    return {
        name: Perturbation(
            rms([one.asked for one in all_]),
            rms([one.effective for one in all_]),
            math.fsum(one.changed for one in all_) / len(all_),
        )
        for name, all_ in by_state.items()
    }
