"""Transformers that see some frames of balls in a box and predict the next ones.

N windows, S frames seen, H frames ahead, B balls. A state is (x, y, vx, vy) in m and m/s.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from leadline.training.precision import mixed, through
from trainables.physics.config import PhysicsConfig
from trainables.physics.features import PER_BALL, features
from trainables.physics.world import PARAMETERS

__all__ = ["LoggedTransformer", "PairedTransformer", "Transformer", "network", "sinusoids"]


def sinusoids(count: int, width: int) -> Tensor:
    """Returns the positional encoding of Vaswani et al. 2017: float32 [count, width].

    Even columns are sin(p / 10000^(i / width)), odd ones the cosine of the column before.
    """
    column = torch.arange(width, dtype=torch.float64)
    rate = 10000.0 ** (-2 * torch.div(column, 2, rounding_mode="floor") / width)
    angle = torch.arange(count, dtype=torch.float64)[:, None] * rate
    return torch.where(column.remainder(2) == 0, angle.sin(), angle.cos()).float()


class Block(nn.Module):
    """Attention without a mask and a perceptron with ReLU, each a residual that is normed after.

    Args:
        width: of each token.
        heads: of the attention; they divide the width.
        expansion: inner width of the perceptron over `width`.
        dropout: share of each residual that training drops.
    """

    def __init__(self, width: int, heads: int, expansion: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.up = nn.Linear(width, expansion * width)
        self.down = nn.Linear(expansion * width, width)
        self.norms = nn.ModuleList(nn.LayerNorm(width, eps=1e-6) for _ in range(2))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Maps tokens [N, T, width] to as many."""
        rows, tokens, width = x.shape
        split = self.qkv(x).view(rows, tokens, 3, self.heads, width // self.heads)
        query, key, value = split.permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(query, key, value)
        x = self.norms[0](x + self.dropout(self.out(mixed.transpose(1, 2).reshape(rows, tokens, width))))
        changed: Tensor = self.norms[1](x + self.dropout(self.down(functional.relu(self.up(x)))))
        return changed


class Transformer(nn.Module):
    """What both layouts share: units as buffers, which a checkpoint brings along, and the blocks.

    Buffers `state_center` and `state_scale` [4], `ball_center` and `ball_scale` [2] (mass, radius)
    and `world_center` and `world_scale` [6] are statistics of the training rows, which
    `measure_units` takes.
    """

    state_center: Tensor
    state_scale: Tensor
    ball_center: Tensor
    ball_scale: Tensor
    world_center: Tensor
    world_scale: Tensor
    positions: Tensor
    read: nn.Linear
    answer: nn.Linear

    def __init__(self, config: PhysicsConfig) -> None:
        super().__init__()
        self.precision, self.recompute = config.precision, config.recompute
        self.balls, self.seen, self.horizon = config.balls, config.seen, config.horizon
        for name, count in (("state", 4), ("ball", 2), ("world", len(PARAMETERS))):
            self.register_buffer(f"{name}_center", torch.zeros(count))
            self.register_buffer(f"{name}_scale", torch.ones(count))
        self.blocks = nn.ModuleList(
            Block(config.width, config.heads, config.expansion, config.dropout) for _ in range(config.layers)
        )

    def measure_units(self, seen: Tensor, future: Tensor, balls: Tensor, world: Tensor) -> None:
        """Sets the units from training rows, which are given as to `forward`."""
        present = balls[..., 2] > 0
        states = future.transpose(1, 2)[present].flatten(0, 1)
        for name, rows in (("state", states), ("ball", balls[present][:, :2]), ("world", world)):
            spread = rows.std(0, correction=0)
            self.get_buffer(f"{name}_center").copy_(rows.mean(0))
            # What is the same in all rows, such as the amplitude of a constant gravity, has no
            # scale of its own, and would blow up where it is not 0.
            self.get_buffer(f"{name}_scale").copy_(torch.where(spread > 1e-6 * (1 + rows.mean(0).abs()), spread, 1.0))

    def answered(self, tokens: Tensor) -> Tensor:
        """What the network says to tokens [N, T, count], float32 [N, T, answers]."""
        with mixed(self.precision, tokens.device):
            x = self.read(tokens) + self.positions
            for block in self.blocks:
                x = through(block, x, again=self.recompute)
            answer: Tensor = self.answer(x).float()
        return answer

    def units(self, states: Tensor) -> Tensor:
        """States [..., 4] in units of the training rows."""
        return (states - self.state_center) / self.state_scale


class PairedTransformer(Transformer):
    """A token for each frame, with a frame seen, a guess at one ahead, and the last frame seen.

    Token t holds frame t of those seen and the guess at frame t of those ahead; where there are
    more of the one than of the other, the rest is 0. The guess is the flight by `target`, or the
    mean state where that is raw. The output is the guess plus what the network adds, which starts
    at 0. Half as many tokens as frames cost half as much as a token for each.

    Args:
        config: the configuration.
    """

    def __init__(self, config: PhysicsConfig) -> None:
        super().__init__(config)
        self.raw = config.target == "raw"
        self.world_given = config.world_given
        self.tokens = max(config.seen, config.horizon)
        count = 3 * 4 * config.balls + 2 * config.pairs + 3 * config.balls
        self.read = nn.Linear(count + (len(PARAMETERS) if config.world_given else 0), config.width)
        self.register_buffer("positions", sinusoids(self.tokens, config.width), persistent=False)
        self.answer = nn.Linear(config.width, config.balls * 4)
        nn.init.zeros_(self.answer.weight)
        nn.init.zeros_(self.answer.bias)

    def forward(self, seen: Tensor, flight: Tensor, balls: Tensor, world: Tensor) -> Tensor:
        """Predicts the frames ahead.

        Args:
            seen: states [N, S, B, 4].
            flight: states [N, H, B, 4] by the formula of `target`.
            balls: mass, radius and whether there is such a ball, [N, B, 3].
            world: parameters [N, 6].

        Returns:
            States [N, H, B, 4]; those of balls that are not there mean nothing.
        """
        guess = self.state_center.expand_as(flight) if self.raw else flight
        present = balls[..., 2]
        frames = [part for states in (seen, guess) for part in self.frames(states, balls[..., 1], present)]
        fixed = [((balls[..., :2] - self.ball_center) / self.ball_scale * present[..., None]).flatten(1), present]
        fixed.append((self.units(seen[:, -1]) * present[..., None]).flatten(1))
        if self.world_given:
            fixed.append((world - self.world_center) / self.world_scale)
        every = torch.cat(fixed, -1)[:, None].expand(-1, self.tokens, -1)
        added = self.answered(torch.cat([*frames, every], -1))[:, : self.horizon].reshape(flight.shape)
        return guess + added * self.state_scale

    def frames(self, states: Tensor, radius: Tensor, present: Tensor) -> list[Tensor]:
        """States, [N, tokens, 4 B], and the gaps between the balls of pairs, [N, tokens, pairs].

        Gaps are those between surfaces, in radii of training; beyond 4 they are all alike.
        """
        rows = [(self.units(states) * present[:, None, :, None]).flatten(2)]
        if self.balls > 1:
            first, second = torch.triu_indices(self.balls, self.balls, 1, device=states.device)
            apart = (states[:, :, first, :2] - states[:, :, second, :2]).square().sum(-1)
            gap = (apart + 1e-12).sqrt() - (radius[:, first] + radius[:, second])[:, None]
            both = present[:, first] * present[:, second]
            rows.append((gap / self.ball_center[1]).clamp(max=4.0) * both[:, None])
        return [functional.pad(row, (0, 0, 0, self.tokens - row.shape[1])) for row in rows]


class LoggedTransformer(Transformer):
    """The log's: a token for each frame seen, whose output is the frame `horizon` later.

    Tokens are the features of `features`; it predicts all of them. With 10 frames, 3 balls, 6
    layers and a width of 256 it has 4,751,641 parameters. Buffers `feature_center` and
    `feature_scale` are their units; raw units, as the log has them, are 0 and 1.

    Args:
        config: the configuration.
    """

    feature_center: Tensor
    feature_scale: Tensor

    def __init__(self, config: PhysicsConfig) -> None:
        super().__init__(config)
        self.dt, self.raw_units = config.setting.dt, config.units == "raw"
        count = 1 + PER_BALL * config.balls
        self.read = nn.Linear(count, config.width)
        self.register_buffer("positions", sinusoids(config.seen, config.width), persistent=False)
        self.register_buffer("feature_center", torch.zeros(count))
        self.register_buffer("feature_scale", torch.ones(count))
        self.answer = nn.Linear(config.width, count)

    def measure_units(self, seen: Tensor, future: Tensor, balls: Tensor, world: Tensor) -> None:
        """Sets the units, those of the features unless they are to stay raw."""
        super().measure_units(seen, future, balls, world)
        if not self.raw_units:
            rows = self.features(future, balls, world, self.seen).flatten(0, 1)
            spread = rows.std(0, correction=0)
            self.feature_center.copy_(rows.mean(0))
            self.feature_scale.copy_(torch.where(spread > 1e-6, spread, 1.0))

    def features(self, states: Tensor, balls: Tensor, world: Tensor, first: int = 0) -> Tensor:
        """The features of states [N, T, B, 4], the first of which is frame `first`."""
        return features(states, balls, world, self.dt, first)

    def forward(self, seen: Tensor, flight: Tensor, balls: Tensor, world: Tensor) -> Tensor:
        """Predicts the features of the frames ahead, [N, H, 1 + 8 B], from what the other takes."""
        x = (self.features(seen, balls, world) - self.feature_center) / self.feature_scale
        return self.answered(x) * self.feature_scale + self.feature_center


def network(config: PhysicsConfig) -> Transformer:
    """Returns the untrained network, on the CPU; it is equal for equal configurations."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        return LoggedTransformer(config) if config.layout == "logged" else PairedTransformer(config)
