"""The network: two stacks of encoder layers that take turns, and a probability of halting.

Names of modules are those of the log's network, whose weights therefore fit.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from leadline.training.precision import mixed, through
from trainables.arc_hrm.config import ArcHRMConfig
from trainables.puzzles.puzzle import PAD
from trainables.sinusoids import sinusoids

__all__ = ["POSITIONS", "ArcHRM", "Thought", "network", "parameter_count"]

POSITIONS = 5000
"""The positions in the fixed table, whatever the size of a board (log: 5000)."""
LEAST_CYCLES = 2
"""The cycles before which nothing stops (log: 2), unless `max_cycles` is smaller."""


# In evaluation torch has a fused kernel for encoder layers, which does not ask for autocast on a
# CPU (pytorch issue 132613). Without it, scores are made by the code that is trained.
torch.backends.mha.set_fastpath_enabled(False)


class Thought(NamedTuple):
    """The outputs for R rows.

    Attributes:
        logits: float32 [R, tokens, vocabulary].
        halt: the probability of halting after each cycle that was run, float32 [cycles, R].
        cycles: the cycles that each row's logits took, int64 [R].
    """

    logits: Tensor
    halt: Tensor
    cycles: Tensor

    @property
    def last_halt(self) -> Tensor:
        """The probability of halting after each row's own last cycle, float32 [R]."""
        return self.halt.gather(0, self.cycles[None] - 1)[0]


def parameter_count(width: int, layers: int, vocabulary: int) -> int:
    """Counts the trained numbers of a network by formula; `layers` are those of both stacks.

    The table of positions, `POSITIONS` times the width, is not trained and not among them.
    """
    attention, forward, norms = 4 * (width * width + width), 8 * width * width + 5 * width, 4 * width
    between, halting, ends = 2 * (width * width + width), 2 * width + 1, (2 * width + 1) * vocabulary
    return layers * (attention + forward + norms) + between + halting + ends + 4 * width


def _stack(config: ArcHRMConfig, layers: int) -> nn.ModuleList:
    """Returns encoder layers that normalise their outputs, with ReLU and an inner width of 4."""
    width = config.hidden
    return nn.ModuleList(
        nn.TransformerEncoderLayer(width, config.heads, 4 * width, config.dropout, batch_first=True)
        for _ in range(layers)
    )


class ArcHRM(nn.Module):
    """A network whose states h and l both begin as the embedded board.

    A cycle: h through the H layers and a norm; l += W h; l through the L layers and a norm;
    h += W l; halting is a logistic regression on the means of h and l over positions. The answer is
    read from l. Gradients flow through all cycles.

    Where demonstrations are in the input, their grids' tokens stand behind the board's. A token's
    position is its cell on its own canvas, and a learned embedding tells the grids apart. PAD of
    demonstrations is attended to by no token.

    Args:
        config: the sizes.
        vocabulary: the number of values of a token.
    """

    places: Tensor

    def __init__(self, config: ArcHRMConfig, vocabulary: int) -> None:
        super().__init__()
        self.config = config
        width = config.hidden
        self.token_embedding = nn.Embedding(vocabulary, width)
        if config.demonstrations_in_input:
            self.grid_embedding = nn.Embedding(1 + 2 * config.demonstrations, width)
        self.dropout = nn.Dropout(config.dropout)
        self.h_layers = _stack(config, config.h_layers)
        self.l_layers = _stack(config, config.l_layers)
        self.h_to_l, self.l_to_h = nn.Linear(width, width), nn.Linear(width, width)
        self.h_norm, self.l_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.halt_predictor = nn.Linear(2 * width, 1)
        self.output = nn.Linear(width, vocabulary)
        # It is a formula, so that checkpoints need not hold it.
        self.register_buffer("places", sinusoids(POSITIONS, width), persistent=False)

    def forward(self, inputs: Tensor, shown: Tensor | None = None, each: bool = False) -> Thought:
        """Answers boards, int64 [R, tokens].

        Args:
            inputs: the boards.
            shown: the demonstrations' grids where they are in the input, int64 [R, grids, tokens].
            each: whether a row stops by its own probability of halting, as if it were alone, rather
                than all rows by their mean.
        """
        limit, threshold = self.config.max_cycles, self.config.halt_threshold
        halt: list[Tensor] = []
        cycles = torch.zeros(len(inputs), dtype=torch.int64, device=inputs.device)
        stopped = torch.zeros(len(inputs), dtype=torch.bool, device=inputs.device)
        with mixed(self.config.precision, inputs.device):
            x, unseen = self._embedded(inputs, shown)
            h = l = self.dropout(x)  # noqa: E741
            board = slice(inputs.shape[1])
            answer = l[:, board]
            for cycle in range(1, limit + 1):
                h, l = self._cycle(h, l, unseen)  # noqa: E741
                halt.append(self._halting(h[:, board], l[:, board]))
                cycles = cycles + ~stopped
                answer = torch.where(stopped[:, None, None], answer, l[:, board]) if each else l[:, board]
                if LEAST_CYCLES <= cycle < limit:
                    stopped = stopped | ((halt[-1] if each else halt[-1].mean()) > threshold)
                    if not (~stopped).any():
                        break
            logits = self.output(answer)
        return Thought(logits.float(), torch.stack(halt), cycles)

    def _embedded(self, inputs: Tensor, shown: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Embeds boards and, behind them, the demonstrations' cells that are not PAD in all rows.

        Returns:
            The tokens, float32 [R, T, width], and which no token attends to, bool [R, T]; None
            where that is none.
        """
        x = self.token_embedding(inputs) + self.places[: inputs.shape[1]]
        if shown is None:
            return x, None
        filled = (shown != PAD).flatten(1)
        (used,) = filled.any(0).nonzero(as_tuple=True)
        grid, cell = used // shown.shape[2], used % shown.shape[2]
        behind = self.token_embedding(shown.flatten(1)[:, used]) + self.places[cell] + self.grid_embedding(1 + grid)
        unseen = torch.cat([torch.zeros_like(inputs, dtype=torch.bool), ~filled[:, used]], 1)
        return torch.cat([x + self.grid_embedding.weight[0], behind], 1), unseen

    def _cycle(self, h: Tensor, l: Tensor, unseen: Tensor | None) -> tuple[Tensor, Tensor]:  # noqa: E741
        """Makes one turn of both stacks on their states, float32 [R, T, width]."""
        h = self.h_norm(self._through(self.h_layers, h, unseen))
        l = self.l_norm(self._through(self.l_layers, l + self.h_to_l(h), unseen))  # noqa: E741
        return h + self.l_to_h(l), l

    def _through(self, layers: Iterable[nn.Module], x: Tensor, unseen: Tensor | None) -> Tensor:
        for layer in layers:
            x = through(layer, x, None, unseen, again=self.config.recompute)
        return x

    def _halting(self, h: Tensor, l: Tensor) -> Tensor:  # noqa: E741
        """Returns the probability of halting, float32 [R].

        It is computed in float32, since bfloat16 has few numbers near a threshold of 0.9.
        """
        with mixed("float32", h.device):
            pooled = torch.cat([h.float().mean(1), l.float().mean(1)], -1)
            found: Tensor = torch.sigmoid(self.halt_predictor(pooled)).squeeze(-1)
        return found


def network(config: ArcHRMConfig) -> ArcHRM:
    """Returns the untrained network of a configuration, on the CPU.

    Weights are drawn from torch's global generator.
    """
    return ArcHRM(config, config.vocabulary)
