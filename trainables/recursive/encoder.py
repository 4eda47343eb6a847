"""The encoder of demonstrations: what they show of a task, as tokens ahead of the board.

"ETRM" is the encoder-based TRM of github bdsaglam/etrm (85da7e2). Each demonstration, a pair of an
input and an output grid, goes through blocks of its own; learned queries then attend to all
demonstrations of a row (Jaegle et al. 2021; for sets, Lee et al. 2019). The variational form has a
mean and a variance for each number of the context (Kingma and Welling 2014).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from leadline.training.precision import through
from trainables.puzzles.puzzle import PAD
from trainables.recursive.config import ETRMConfig
from trainables.recursive.layers import Block, Rotation, SwiGLU, linear, rms, rotation, truncated_normal_

__all__ = ["Encoded", "Encoder"]

THETA = 10000.0
"""The base of the wavelengths of rope within a pair, whatever the board's positions are (ETRM)."""
QUERY_STD = 0.5
"""The standard deviation of the queries at first."""
LOG_VARIANCE = -4.0
"""The logarithm of the variance at first: next to the mean, of size 1, little noise (ours)."""


class Encoded(NamedTuple):
    """The encoder's output for E of R rows, each K of which share their demonstrations, N in all.

    Attributes:
        rows: which of the R rows were encoded, int64 [E].
        context: the tokens ahead of the board, float32 [E, prefix, width].
        pairs: the embedded demonstrations, the encoder's far end: only a gradient that has come
            through all of it arrives here. float32 [N, S, width] of S tokens each.
        owners: the rows of each demonstration, among the R, int64 [K, N].
        divergence: of the context from a unit normal, in nats, float32 [E]; None where it is not
            variational.
    """

    rows: Tensor
    context: Tensor
    pairs: Tensor
    owners: Tensor
    divergence: Tensor | None


class CrossBlock(nn.Module):
    """A block in which queries attend to keys: q := rms(q + attention); q := rms(q + swiglu(q))."""

    def __init__(self, width: int, heads: int, inner: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.out = (linear(width, width) for _ in range(4))
        self.mlp = SwiGLU(width, inner)

    def forward(self, q: Tensor, keys: Tensor, seen: Tensor) -> Tensor:
        """Maps queries, [rows, P, width], to the same shape.

        Args:
            q: the queries.
            keys: what is attended to, [rows, K, width]; 0 where it is not seen.
            seen: bool [rows, K]. A row that sees nothing gets nothing.
        """
        rows, count, width = q.shape
        query, key, value = (
            layer(x).view(rows, x.shape[1], self.heads, width // self.heads).transpose(1, 2)
            for layer, x in ((self.query, q), (self.key, keys), (self.value, keys))
        )
        # A softmax over nothing would be NaN; the values of a row that sees nothing are all 0.
        mask = (seen | ~seen.any(1, keepdim=True))[:, None, None]
        found = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        q = rms(q + self.out(found.transpose(1, 2).reshape(rows, count, width)))
        return rms(q + self.mlp(q))


class Encoder(nn.Module):
    """The encoder of a row's demonstrations, standard or variational.

    PAD is attended to like any other token within a pair (ETRM), and is left out when a pair is
    pooled or its tokens are attended to.

    Args:
        config: the sizes, and which encoder and pooling it is.
        tokens: cells of a board.
        vocabulary: values of a token.
    """

    cos: Tensor
    sin: Tensor

    def __init__(self, config: ETRMConfig, tokens: int, vocabulary: int) -> None:
        super().__init__()
        self.config = config
        width, heads, inner = config.hidden, config.heads, config.inner
        self.inputs, self.outputs = nn.Embedding(vocabulary, width), nn.Embedding(vocabulary, width)
        for table in (self.inputs, self.outputs):
            truncated_normal_(table.weight, 1 / math.sqrt(width))
        cos, sin = rotation(tokens if config.paired else 2 * tokens, width // heads, THETA)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)
        self.pair = nn.ModuleList(Block(width, heads, inner) for _ in range(config.encoder_layers))
        if config.pooling == "mean":
            self.pool = linear(width, width)
        if config.pooling != "none":
            self.queries = nn.Parameter(truncated_normal_(torch.empty(config.context_tokens, width), QUERY_STD))
            self.set = nn.ModuleList(CrossBlock(width, heads, inner) for _ in range(config.set_layers))
        if config.encoder == "variational":
            self.mean = linear(width, width)
            self.log_variance = nn.Linear(width, width)
            nn.init.zeros_(self.log_variance.weight)
            nn.init.constant_(self.log_variance.bias, LOG_VARIANCE)

    def forward(
        self, inputs: Tensor, outputs: Tensor, mask: Tensor, noise: Tensor | None = None, copies: int = 1
    ) -> Encoded:
        """Encodes the demonstrations of B boards, all of them, for K rows each.

        Args:
            inputs, outputs: the grids, int64 [B, D, cells].
            mask: which demonstrations there are, bool [B, D]; no others are computed.
            noise: unit normal, float32 [K * B, prefix, width]; without it a variational context is
                the mean.
            copies: K; the boards repeat K times.
        """
        owners, _ = mask.nonzero(as_tuple=True)
        pairs, filled = self._embedded(inputs[mask], outputs[mask])
        context = self._context(self._through(pairs), filled, mask).repeat(copies, 1, 1)
        rows = torch.arange(len(context), device=mask.device)
        context, divergence = self._drawn(context, noise)
        return Encoded(rows, context, pairs, rows.view(copies, -1)[:, owners], divergence)

    def _embedded(self, inputs: Tensor, outputs: Tensor) -> tuple[Tensor, Tensor]:
        """Embeds N pairs of grids, int64 [N, cells] each, as S tokens of size 1.

        Returns:
            The tokens, float32 [N, S, width], and which of them are not PAD, bool [N, S].
        """
        one, other, size = self.inputs(inputs), self.outputs(outputs), math.sqrt(self.config.hidden)
        if self.config.paired:
            return math.sqrt(0.5) * size * (one + other), (inputs != PAD) | (outputs != PAD)
        return size * torch.cat([one, other], 1), torch.cat([inputs, outputs], 1) != PAD

    def _through(self, pairs: Tensor) -> Tensor:
        """Puts each pair through its blocks, [N, S, width] to the same shape."""
        by = Rotation(self.cos, self.sin)
        for block in self.pair:
            pairs = through(block, pairs, by, again=self.config.recompute)
        return pairs

    def _context(self, pairs: Tensor, filled: Tensor, mask: Tensor) -> Tensor:
        """Makes the context, float32 [E, prefix, width], of the encoded pairs.

        Args:
            pairs: float32 [N, S, width].
            filled: which of their tokens are not PAD, bool [N, S].
            mask: bool [E, D], true N times.
        """
        if self.config.pooling == "mean":
            weight = filled.unsqueeze(-1).to(pairs.dtype)
            pooled = self.pool((pairs * weight).sum(1) / weight.sum(1).clamp(min=1))
            return self._asked(_placed(pooled, mask), mask)
        if self.config.pooling == "attention":
            seen = _placed(filled, mask)
            return self._asked((_placed(pairs, mask) * seen.unsqueeze(-1)).flatten(1, 2), seen.flatten(1))
        # The board's own tokens have size 1, and the prefix is multiplied by sqrt(width) with them.
        return _placed(pairs, mask).flatten(1, 2) / math.sqrt(self.config.hidden)

    def _asked(self, keys: Tensor, seen: Tensor) -> Tensor:
        """Lets the queries attend to the keys; shapes are those of `CrossBlock.forward`."""
        q = self.queries.expand(len(keys), -1, -1)
        for block in self.set:
            q = through(block, q, keys, seen, again=self.config.recompute)
        return q

    def _drawn(self, context: Tensor, noise: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Returns the context and, where it is variational, its divergence from a unit normal."""
        if self.config.encoder != "variational":
            return context.float(), None
        mean, log_variance = self.mean(context).float(), self.log_variance(context).float()
        each = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance)
        drawn = mean if noise is None else mean + noise * torch.exp(0.5 * log_variance)
        return drawn, each.sum((1, 2))


def _placed(found: Tensor, mask: Tensor) -> Tensor:
    """Puts N demonstrations, [N, ...], to their places, [E, D, ...], with 0 where there is none."""
    placed = found.new_zeros(*mask.shape, *found.shape[1:])
    return placed.masked_scatter(mask.view(*mask.shape, *[1] * (found.dim() - 1)), found)
