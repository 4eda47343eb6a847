"""The transformer, whose width decides its heads, layers and expansion, as the log has it."""

from __future__ import annotations

import itertools
import math
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from leadline.training.precision import Precision, mixed, through
from trainables.scan.lstm import State
from trainables.scan.shape import Shape
from trainables.sinusoids import sinusoids

__all__ = ["Transformer", "parameter_count"]


def parameter_count(shape: Shape, words: int, rules: int, actions: int) -> int:
    """Counts the parameters of a transformer by formula."""
    width, inner = shape.width, shape.expansion * shape.width
    attention, norm = 4 * (width * width + width), 2 * width
    forward = 2 * width * inner + inner + width
    encoder = shape.layers * (attention + forward + 2 * norm) + norm
    decoder = shape.layers * (2 * attention + forward + 3 * norm) + norm
    return encoder + decoder + (words + rules + actions) * width + (width + 1) * actions


class Attention(nn.Module):
    """Attention with several heads; keys and values can be made apart, to be kept."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.heads = shape.heads
        self.query = nn.Linear(shape.width, shape.width)
        self.key_value = nn.Linear(shape.width, 2 * shape.width)
        self.output = nn.Linear(shape.width, shape.width)

    def _split(self, tensor: Tensor) -> Tensor:
        """[rows, positions, width] as [rows, heads, positions, width / heads]."""
        return tensor.reshape(*tensor.shape[:-1], self.heads, -1).transpose(1, 2)

    def keys_values(self, tensor: Tensor) -> tuple[Tensor, Tensor]:
        """The keys and values of positions, each [rows, heads, positions, width / heads]."""
        key, value = self.key_value(tensor).chunk(2, -1)
        return self._split(key), self._split(value)

    def forward(self, tensor: Tensor, keys_values: tuple[Tensor, Tensor], mask: Tensor | None, causal: bool) -> Tensor:
        """What positions [rows, positions, width] gather from keys and values.

        Args:
            tensor: the positions that ask.
            keys_values: what `keys_values` returned.
            mask: bool, true where a position may look at a key; None where at all.
            causal: whether a position sees itself and those before it alone.
        """
        found = functional.scaled_dot_product_attention(
            self._split(self.query(tensor)), *keys_values, attn_mask=mask, is_causal=causal
        )
        gathered: Tensor = self.output(found.transpose(1, 2).flatten(2))
        return gathered


class FeedForward(nn.Sequential):
    """The feed-forward layer of a block."""

    def __init__(self, shape: Shape) -> None:
        inner = shape.expansion * shape.width
        super().__init__(nn.Linear(shape.width, inner), nn.ReLU(), nn.Linear(inner, shape.width))


class EncoderLayer(nn.Module):
    """Attention and a feed-forward layer, each on normalised inputs and added to them."""

    def __init__(self, shape: Shape, dropout: float) -> None:
        super().__init__()
        self.attention, self.forward_layer = Attention(shape), FeedForward(shape)
        self.norms = nn.ModuleList(nn.LayerNorm(shape.width) for _ in range(2))
        self.dropout = nn.Dropout(dropout)

    def forward(self, tensor: Tensor, mask: Tensor) -> Tensor:
        """Positions [rows, positions, width] after the layer; the mask hides padding."""
        normed = self.norms[0](tensor)
        tensor = tensor + self.dropout(self.attention(normed, self.attention.keys_values(normed), mask, False))
        found: Tensor = tensor + self.dropout(self.forward_layer(self.norms[1](tensor)))
        return found


class DecoderLayer(nn.Module):
    """Attention to earlier positions, attention to the command, and a feed-forward layer."""

    def __init__(self, shape: Shape, dropout: float) -> None:
        super().__init__()
        self.own, self.other, self.forward_layer = Attention(shape), Attention(shape), FeedForward(shape)
        self.norms = nn.ModuleList(nn.LayerNorm(shape.width) for _ in range(3))
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, tensor: Tensor, earlier: tuple[Tensor, Tensor] | None, memory: tuple[Tensor, Tensor], mask: Tensor
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Positions after the layer, and the keys and values of all positions so far.

        Args:
            tensor: all positions, or the last alone where those before it are kept.
            earlier: the kept keys and values of the positions before it; None without any.
            memory: keys and values of the command.
            mask: which of the command's positions are no padding, bool [rows, 1, 1, words].
        """
        normed = self.norms[0](tensor)
        kept = self.own.keys_values(normed)
        if earlier is not None:
            kept = (torch.cat([earlier[0], kept[0]], 2), torch.cat([earlier[1], kept[1]], 2))
        tensor = tensor + self.dropout(self.own(normed, kept, None, earlier is None))
        tensor = tensor + self.dropout(self.other(self.norms[1](tensor), memory, mask, False))
        return tensor + self.dropout(self.forward_layer(self.norms[2](tensor))), kept


class Transformer(nn.Module):
    """An encoder and a decoder with normalised inputs of each layer (Xiong et al. 2020).

    The tokens of the rules stand before the command; padding is never attended to. Decoding keeps
    the keys and values of earlier positions.

    Args:
        shape: width, layers, heads and expansion.
        words: tokens of commands.
        rules: tokens of rules.
        actions: tokens of actions.
        positions: the most positions of a sequence.
        dropout: the share of embeddings and of each layer's outputs that is dropped in training.
        precision: that of matrix products.
        recompute: whether the inside of layers is computed again in the backward pass.
    """

    codes: Tensor

    def __init__(
        self,
        shape: Shape,
        words: int,
        rules: int,
        actions: int,
        positions: int,
        dropout: float = 0.0,
        precision: Precision = "float32",
        recompute: bool = False,
    ) -> None:
        super().__init__()
        self.precision, self.recompute = precision, recompute
        width = shape.width
        self.scale = math.sqrt(width)
        self.words, self.rules, self.actions = (nn.Embedding(count, width) for count in (words, rules, actions))
        for table in (self.words, self.rules, self.actions):
            nn.init.normal_(table.weight, std=1 / self.scale)
        self.encoder = nn.ModuleList(EncoderLayer(shape, dropout) for _ in range(shape.layers))
        self.decoder = nn.ModuleList(DecoderLayer(shape, dropout) for _ in range(shape.layers))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(width, actions)
        self.register_buffer("codes", sinusoids(positions, width), persistent=False)

    def _embedded(self, embeddings: Tensor, first: int = 0) -> Tensor:
        found: Tensor = self.dropout(embeddings * self.scale + self.codes[first : first + embeddings.shape[1]])
        return found

    def encode(self, rules: Tensor, commands: Tensor) -> State:
        """Reads rules and commands.

        Returns:
            What is no padding, and each layer's keys and values of the command.
        """
        mask = torch.cat([rules != 0, commands != 0], 1)[:, None, None]
        with mixed(self.precision, commands.device):  # decoding calls it alone
            tensor = self._embedded(torch.cat([self.rules(rules), self.words(commands)], 1))
            for layer in self.encoder:
                tensor = through(layer, tensor, mask, again=self.recompute)
            tensor = self.norms[0](tensor)
            memories = [cast(DecoderLayer, layer).other.keys_values(tensor) for layer in self.decoder]
        return (mask, *itertools.chain.from_iterable(memories))

    def _decode(self, state: State, actions: Tensor) -> tuple[Tensor, State]:
        """Decodes positions that follow those kept in the state: one, or all where none is kept."""
        layers = len(self.decoder)
        mask, memory, kept = state[0], state[1 : 1 + 2 * layers], list(state[1 + 2 * layers :])
        tensor = self._embedded(self.actions(actions), kept[0].shape[2] if kept else 0)
        after: list[Tensor] = []
        for i, layer in enumerate(self.decoder):
            earlier = (kept[2 * i], kept[2 * i + 1]) if kept else None
            tensor, own = through(layer, tensor, earlier, memory[2 * i : 2 * i + 2], mask, again=self.recompute)
            after.extend(own)
        return self.output(self.norms[1](tensor)), (mask, *memory, *after)

    def forward(self, rules: Tensor, commands: Tensor, actions: Tensor) -> Tensor:
        """Returns the logits of the action after each given one, [rows, positions, actions]."""
        with mixed(self.precision, actions.device):
            logits = self._decode(self.encode(rules, commands), actions)[0]
        return logits.float()

    def step(self, state: State, action: Tensor) -> tuple[Tensor, State]:
        """Returns the logits [rows, actions] after an action [rows], and the state after it."""
        with mixed(self.precision, action.device):
            logits, state = self._decode(state, action[:, None])
        return logits[:, -1].float(), state
