"""HRM, TRM and ETRM as modules.

They have an embedding, one or two stacks that update the latent states z_H and z_L in cycles, and
two heads. What stands ahead of the board is the puzzle's own embedding or, in ETRM, what an encoder
makes of demonstrations.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from leadline.training.precision import Precision, mixed
from trainables.recursive.config import ETRMConfig, HRMConfig, RecursiveConfig, TRMConfig
from trainables.recursive.encoder import Encoded, Encoder
from trainables.recursive.layers import Block, Mixer, Rotation, Stack, linear, rotation, truncated_normal_

__all__ = [
    "ETRM",
    "HRM",
    "PUZZLE",
    "TRM",
    "Context",
    "RecursiveNet",
    "Rollout",
    "Shape",
    "network",
    "puzzle_parameters",
]

Q_BIAS = -5.0
"""The bias of both Q values at first, so that nothing halts early (HRM, TRM)."""
PUZZLE = "puzzle."
"""The beginning of the names of the puzzle embedding's parameters."""


class Shape(NamedTuple):
    """The sizes of a task: a board's tokens, their values, the puzzles with an embedding."""

    tokens: int
    vocabulary: int
    puzzles: int = 1


class Context(NamedTuple):
    """What stands ahead of boards.

    Attributes:
        tokens: float32 [rows, prefix, width]; None without a prefix.
        encoded: what the encoder was asked for, where there is one.
    """

    tokens: Tensor | None
    encoded: Encoded | None = None


class Rollout(NamedTuple):
    """The outputs of T segments for R rows.

    Attributes:
        logits: float32 [T, R, tokens, vocabulary].
        q_halt: float32 [T, R].
        q_continue: float32 [T, R]; nothing trains it in TRM.
        z_h, z_l: the states after the last segment, float32 [R, prefix + tokens, width], detached.
        ahead: Q-halt and Q-continue of the segment after each, float32 [2, T, R], if that was asked
            for.
        context: what stood ahead of the boards in the last segment, float32 [R, prefix, width],
            detached; None where nothing is encoded.
        encoded: what the encoder was asked for; empty without one.
    """

    logits: Tensor
    q_halt: Tensor
    q_continue: Tensor
    z_h: Tensor
    z_l: Tensor
    ahead: Tensor | None = None
    context: Tensor | None = None
    encoded: tuple[Encoded, ...] = ()


class RecursiveNet(nn.Module):
    """A network that thinks in segments.

    A segment updates z_L `l_cycles` times, then z_H once, all of it `h_cycles` times. The last
    `tail` updates carry gradient.
    """

    h_init: Tensor
    l_init: Tensor
    cos: Tensor
    sin: Tensor
    tail: int
    lower: Stack
    learns_to_continue = False
    """Whether the value of going on is learned, from one more segment."""
    shown: tuple[str, ...] = ()
    """Names of the puzzle's further rows that `contexts` reads, such as demonstrations."""

    @property
    def looks_ahead(self) -> bool:
        """Whether training needs one segment more.

        It does not if only one is allowed: there is nothing to go on to.
        """
        return self.learns_to_continue and self.config.halt_max_steps > 1

    def __init__(self, config: RecursiveConfig, shape: Shape) -> None:
        super().__init__()
        self.config = config
        self.shape = shape
        self.prefix = config.prefix
        width, positions = config.hidden, config.prefix + shape.tokens
        self.embedding = nn.Embedding(shape.vocabulary, width)
        truncated_normal_(self.embedding.weight, 1 / math.sqrt(width))
        if config.positions == "learned":
            self.place = nn.Embedding(positions, width)
            truncated_normal_(self.place.weight, 1 / math.sqrt(width))
        if config.task_embedding:
            self.puzzle = nn.Embedding(shape.puzzles, config.task_embedding, sparse=True)
            nn.init.zeros_(self.puzzle.weight)
        if config.positions == "rope":
            cos, sin = rotation(positions, width // config.heads, config.rope_theta)
            self.register_buffer("cos", cos, persistent=False)
            self.register_buffer("sin", sin, persistent=False)
        self.head = linear(width, shape.vocabulary)
        self.q_head = nn.Linear(width, 2)
        nn.init.zeros_(self.q_head.weight)
        nn.init.constant_(self.q_head.bias, Q_BIAS)
        self.register_buffer("h_init", truncated_normal_(torch.empty(width), 1.0))
        self.register_buffer("l_init", truncated_normal_(torch.empty(width), 1.0))

    @property
    def upper(self) -> Stack:
        """The stack that updates z_H."""
        return self.lower

    @property
    def updates(self) -> str:
        """The states that a segment updates, in order.

        For example `llhllh` stands for two updates of z_L before each of z_H, twice.
        """
        return ("l" * self.config.l_cycles + "h") * self.config.h_cycles

    def start(self, rows: int) -> tuple[Tensor, Tensor]:
        """Returns z_H and z_L before the first segment.

        Both are float32 [rows, prefix + tokens, width]. Every position is alike.
        """
        size = (rows, self.prefix + self.shape.tokens, self.config.hidden)
        return self.h_init.expand(size), self.l_init.expand(size)

    def blank(self, slots: int) -> dict[str, Tensor]:
        """Returns what a slot without a board carries beside it, [slots, ...] by name."""
        return {}

    def contexts(self, puzzles: Tensor, segments: int, **shown: Tensor) -> list[Context]:
        """Returns what stands ahead of the boards: once for each segment, or once for all.

        Args:
            puzzles: int64 [rows].
            segments: how many are to be made.
            shown: further rows by name.
        """
        if not self.prefix:
            return [Context(None)]
        numbers = self.puzzle(puzzles)
        room = self.prefix * self.config.hidden - numbers.shape[-1]
        return [Context(nn.functional.pad(numbers, (0, room)).view(len(puzzles), self.prefix, self.config.hidden))]

    def embed(self, inputs: Tensor, context: Context) -> Tensor:
        """Embeds tokens, int64 [rows, tokens], behind their context.

        The result is float32 [rows, prefix + tokens, width].
        """
        x = self.embedding(inputs)
        if context.tokens is not None:
            x = torch.cat([context.tokens, x], 1)
        if self.config.positions == "learned":
            x = math.sqrt(0.5) * (x + self.place.weight)
        return math.sqrt(self.config.hidden) * x  # type: ignore[no-any-return]

    def segment(self, z_h: Tensor, z_l: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """Makes one segment on states and boards, all float32 [rows, prefix + tokens, width]."""
        free = len(self.updates) - self.tail
        with torch.no_grad():
            z_h, z_l = self._update(self.updates[:free], z_h, z_l, x, self.config.precision)
        return self._update(self.updates[free:], z_h, z_l, x, self.config.precision, self.config.recompute)

    def map(self, z_h: Tensor, z_l: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """Makes the segment as a function that can be differentiated through all of its updates.

        It is computed in float32, whatever the configured precision, and nothing of it again, which
        torch.func does not support.
        """
        return self._update(self.updates, z_h, z_l, x, "float32")

    def _update(
        self, updates: str, z_h: Tensor, z_l: Tensor, x: Tensor, precision: Precision, again: bool = False
    ) -> tuple[Tensor, Tensor]:
        """Makes the updates that `updates` names, in an autocast of its own.

        Weights that an outer autocast caches under `no_grad` would have no gradient later.
        """
        by = Rotation(self.cos, self.sin) if self.config.positions == "rope" else None
        with mixed(precision, x.device):
            for update in updates:
                if update == "l":
                    z_l = self.lower(z_l, z_h + x, by, again)
                else:
                    z_h = self.upper(z_h, z_l if self.config.l_cycles else x, by, again)
        return z_h, z_l

    def q(self, z_h: Tensor) -> Tensor:
        """Returns Q-halt and Q-continue, float32 [2, rows], read from the first position."""
        return self.q_head(z_h[:, 0]).T  # type: ignore[no-any-return]

    def forward(
        self,
        inputs: Tensor,
        puzzles: Tensor,
        z_h: Tensor,
        z_l: Tensor,
        segments: int = 1,
        *,
        parts: int = 1,
        ahead: bool = False,
        **shown: Tensor,
    ) -> Rollout:
        """Makes segments one after another; no gradient flows from one to the one before.

        Args:
            inputs: int64 [R, tokens].
            puzzles: int64 [R].
            z_h, z_l: float32 [R, prefix + tokens, width].
            segments: T.
            parts: number of equal parts of the rows that are computed one after another.
            ahead: whether `Rollout.ahead` is computed too.
            shown: further rows by name, which `contexts` reads, [R, ...]; with one part also
                [R / K, ...], where the boards repeat K times.
        """
        named = {"inputs": inputs, "puzzles": puzzles, "z_h": z_h, "z_l": z_l, **shown}
        assert parts == 1 or all(len(tensor) == len(inputs) for tensor in named.values())
        rows = zip(*(tensor.chunk(parts) for tensor in named.values()), strict=True)
        found = [self._roll(segments=segments, ahead=ahead, **dict(zip(named, part, strict=True))) for part in rows]
        if parts == 1:
            return found[0]
        size = len(inputs) // parts
        return Rollout(
            torch.cat([part.logits for part in found], 1),
            torch.cat([part.q_halt for part in found], 1),
            torch.cat([part.q_continue for part in found], 1),
            torch.cat([part.z_h for part in found]),
            torch.cat([part.z_l for part in found]),
            torch.cat([part.ahead for part in found if part.ahead is not None], 2) if ahead else None,
            torch.cat([part.context for part in found if part.context is not None]) if found[0].encoded else None,
            tuple(
                one._replace(rows=one.rows + number * size, owners=one.owners + number * size)
                for number, part in enumerate(found)
                for one in part.encoded
            ),
        )

    def _roll(
        self,
        inputs: Tensor,
        puzzles: Tensor,
        z_h: Tensor,
        z_l: Tensor,
        segments: int,
        ahead: bool,
        **shown: Tensor,
    ) -> Rollout:
        contexts = self.contexts(puzzles, segments, **shown)
        xs = [self.embed(inputs, context) for context in contexts]
        logits, q = [], []
        for x in xs * (segments // len(xs)):
            z_h, z_l = self.segment(z_h, z_l, x)
            logits.append(self.head(z_h[:, self.prefix :]))
            q.append(self.q(z_h))
            z_h, z_l = z_h.detach(), z_l.detach()
        halting, going_on = torch.stack(q, 1)
        encoded = tuple(context.encoded for context in contexts if context.encoded is not None)
        last = contexts[-1].tokens
        return Rollout(
            torch.stack(logits),
            halting,
            going_on,
            z_h,
            z_l,
            self._ahead(q, z_h, z_l, xs[-1]) if ahead else None,
            last.detach() if encoded and last is not None else None,
            encoded,
        )

    @torch.no_grad()
    def _ahead(self, q: list[Tensor], z_h: Tensor, z_l: Tensor, x: Tensor) -> Tensor:
        """Returns Q of the segment after each.

        The following segments have said it already; only what follows the last one is computed
        anew.
        """
        return torch.stack([*q[1:], self.q(self.segment(z_h, z_l, x)[0])], 1).detach()


class HRM(RecursiveNet):
    """The hierarchical reasoning model: the last update of each state carries gradient."""

    tail = 2

    def __init__(self, config: HRMConfig, shape: Shape) -> None:
        super().__init__(config, shape)
        blocks = [Block(config.hidden, config.heads, config.inner) for _ in range(config.h_layers + config.l_layers)]
        self.learns_to_continue = config.q_continue
        self.higher = Stack(list(blocks[: config.h_layers]))
        self.lower = Stack(list(blocks[config.h_layers :]))

    @property
    def upper(self) -> Stack:
        """The stack that updates z_H."""
        return self.higher


class TRM(RecursiveNet):
    """The tiny recursive model: one stack for both states.

    The whole last cycle carries gradient.
    """

    def __init__(self, config: TRMConfig, shape: Shape) -> None:
        super().__init__(config, shape)
        self.tail = config.l_cycles + 1
        positions = config.prefix + shape.tokens
        blocks: list[nn.Module] = [
            Mixer(config.hidden, positions, config.inner, config.inner_of(positions))
            if config.mlp_t
            else Block(config.hidden, config.heads, config.inner)
            for _ in range(config.l_layers)
        ]
        self.lower = Stack(blocks)


class ETRM(TRM):
    """The tiny recursive model whose context an encoder makes of the board's demonstrations.

    Of `shown` it reads the demonstrations, `noise` (see `Encoder.forward`), float32 [rows, T,
    prefix, width], and, where contexts are cached, `context` and `fresh`, bool [rows]: the rows
    whose context is to be encoded, while that of others is taken as it is.
    """

    config: ETRMConfig
    shown: tuple[str, ...] = ("demo_inputs", "demo_labels", "demo_mask")

    def __init__(self, config: ETRMConfig, shape: Shape) -> None:
        super().__init__(config, shape)
        self.requires_grad_(not config.freeze_decoder)
        if config.task_embedding:
            self.shown = ()
            self.puzzle.requires_grad_(True)
        else:
            self.encoder = Encoder(config, shape.tokens, shape.vocabulary).requires_grad_(not config.freeze_encoder)

    def blank(self, slots: int) -> dict[str, Tensor]:
        """Returns no demonstrations and, where contexts are cached, none."""
        if not self.shown:
            return {}
        device = self.h_init.device
        grids = torch.zeros(
            slots, self.config.puzzle.demonstrations, self.shape.tokens, dtype=torch.int64, device=device
        )
        blank = dict(
            zip(self.shown, (grids, grids.clone(), torch.zeros_like(grids[..., 0], dtype=torch.bool)), strict=True)
        )
        if self.config.encoding == "cached":
            blank["context"] = torch.zeros(slots, self.prefix, self.config.hidden, device=device)
        return blank

    def contexts(self, puzzles: Tensor, segments: int, **shown: Tensor) -> list[Context]:
        """Encodes the demonstrations, with encoding=fct for each segment that is trained.

        With encoder=lookup they are not read, and each task has a context of its own.
        """
        if not self.shown:
            return super().contexts(puzzles, segments)
        times = segments if self.config.encoding == "fct" and self.training else 1
        # Where fewer demonstrations are given than boards, the boards repeat.
        copies = len(puzzles) // len(shown[self.shown[-1]])
        return [self._encode(time, copies, **shown) for time in range(times)]

    def _encode(self, time: int, copies: int, **shown: Tensor) -> Context:
        noise = shown["noise"][:, time] if "noise" in shown else None
        given = [*(shown[name] for name in self.shown), noise]
        if "fresh" not in shown:
            with mixed(self.config.precision, self.h_init.device):
                encoded = self.encoder(*given, copies)
            return Context(encoded.context, encoded)
        # The encoder runs even where no row is fresh: its gradient is then 0, rather than none, as
        # several workers need it.
        rows = shown["fresh"].nonzero()[:, 0]
        with mixed(self.config.precision, self.h_init.device):
            encoded = self.encoder(*(None if tensor is None else tensor[rows] for tensor in given))
        encoded = encoded._replace(rows=rows, owners=rows[encoded.owners])
        return Context(shown["context"].index_copy(0, rows, encoded.context), encoded)


def network(config: RecursiveConfig, shape: Shape | None = None) -> RecursiveNet:
    """Returns the untrained model of a configuration, by default for its own task.

    Weights are drawn from torch's global generator.
    """
    shape = shape or Shape(config.tokens, config.vocabulary, config.puzzle.identifiers)
    if isinstance(config, HRMConfig):
        return HRM(config, shape)
    return ETRM(config, shape) if isinstance(config, ETRMConfig) else TRM(config, shape)  # type: ignore[arg-type]


def puzzle_parameters(model: RecursiveNet) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Returns the parameters of the puzzle embedding, and all others."""
    named = list(model.named_parameters())
    return [tensor for name, tensor in named if name.startswith(PUZZLE)], [
        tensor for name, tensor in named if not name.startswith(PUZZLE)
    ]
