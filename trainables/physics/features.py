"""The log's 25 features of a frame, and the states in them."""

from __future__ import annotations

import torch
from torch import Tensor

from trainables.physics.world import PARAMETERS

__all__ = ["PER_BALL", "features", "states_of"]

PER_BALL = 8
"""The log's features of a ball: x, y, vx, vy, mass, radius, kinetic and potential energy."""


def features(states: Tensor, balls: Tensor, world: Tensor, dt: float, first: int = 0) -> Tensor:
    """Returns the log's features: time in s, and x, y, vx, vy, mass, radius, KE, PE of each ball.

    Energies are in J. The potential energy is m |g| y, as the log has it, so that the features tell
    the size of gravity.

    Args:
        states: [N, T, B, 4].
        balls: mass, radius and presence, [N, B, 3].
        world: parameters [N, 6].
        dt: seconds between frames.
        first: number of the first frame.

    Returns:
        [N, T, 1 + 8 B].
    """
    rows, frames, count, _ = states.shape
    mass = balls[:, None, :, 0].expand(rows, frames, count)
    radius = balls[:, None, :, 1].expand(rows, frames, count)
    kinetic = 0.5 * mass * states[..., 2:].square().sum(-1)
    potential = mass * world[:, PARAMETERS.index("gravity"), None, None].abs() * states[..., 1]
    each = torch.cat([states, torch.stack([mass, radius, kinetic, potential], -1)], -1)
    time = dt * torch.arange(first, first + frames, device=states.device, dtype=states.dtype)
    return torch.cat([time[None, :, None].expand(rows, -1, -1), each.flatten(2)], -1)


def states_of(output: Tensor) -> Tensor:
    """Returns the states [N, H, B, 4] in an output of either layout."""
    if output.ndim == 4:
        return output
    rows, frames, _ = output.shape
    return output[..., 1:].view(rows, frames, -1, PER_BALL)[..., :4]
