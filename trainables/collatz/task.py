"""One trial: the network, its optimizer, the batches and the scores."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from trainables.collatz import losses
from trainables.collatz.config import CollatzConfig
from trainables.collatz.data import POOL_NODES, CollatzData
from trainables.collatz.features import I64, features, pair
from trainables.collatz.metrics import score
from trainables.collatz.model import DRIFT_COEFFICIENT, network
from trainables.family import Batch, Split, Task
from trainables.measure import Measure

__all__ = ["CollatzTask"]

_ROWS_AT_ONCE = 8192


class CollatzTask(Task):
    """Batches hold `now` and `next`, features of n and T(n), [rows, width], and `weight` and `target`, [rows]."""

    def __init__(self, config: CollatzConfig, data: CollatzData, device: torch.device) -> None:
        self.config = config
        self.data = data
        self.device = device
        self.model: nn.Module = network(config).to(device)
        trained = [p for p in self.model.parameters() if p.requires_grad]
        self.optimizers = [torch.optim.AdamW(trained, lr=config.lr, weight_decay=config.weight_decay)]
        if config.schedule == "cosine":
            self.schedulers = [torch.optim.lr_scheduler.CosineAnnealingLR(self.optimizers[0], T_max=config.steps)]

    def active(self, step: int) -> int:
        """Hard seeds in use at a step."""
        c = self.config
        return losses.active_seeds(step / c.steps, c.ramp, c.start_seeds, len(self.data.row_count))

    def anchor(self, progress: float) -> float:
        """Weight of the anchor at a share of the budget."""
        c = self.config
        return c.anchor * losses.anchor_weight(progress, c.anchor_decay_start, c.anchor_decay, c.anchor_min)

    def draw(self, step: int) -> tuple[I64, int]:
        """Nodes of the step's rows, int64 [batch], hard ones first, and how many are hard.

        A hard row is uniform over the active seeds, then uniform over that seed's rows. Until a seed is active there are
        none. (The log's code takes seed 27 then, one of its test seeds.) The draws do not depend on the lookahead.
        """
        c, data = self.config, self.data
        generator = np.random.default_rng([c.seed, step])
        usable = np.flatnonzero(data.row_count[: self.active(step)])
        hard = round(c.batch * c.hard_ratio) if len(usable) else 0
        seeds = usable[generator.integers(0, max(1, len(usable)), size=hard)]
        place = (generator.random(hard) * data.row_count[seeds]).astype(np.int64)
        pool = data.pool_first + POOL_NODES * generator.integers(0, data.pool, size=c.batch - hard)
        return np.concatenate([data.rows[data.row_first[seeds] + place], pool]), hard

    def batch(self, step: int) -> Batch:
        """See the class; a pure function of (configuration, step)."""
        index, hard = self.draw(step)
        now, following, bits = pair(self.data.nodes, index, self.config.lookahead, self.config.features)
        growth = self.data.nodes.growth(index).astype(np.int64)
        weight = np.asarray(losses.RANDOM_WEIGHTS, dtype=np.float32)[growth]
        weight[:hard] = np.asarray(losses.HARD_WEIGHTS, dtype=np.float32)[growth[:hard]]
        target = (self.data.nodes.ln[index] + DRIFT_COEFFICIENT * bits).astype(np.float32)
        arrays = {"now": now, "next": following, "weight": weight, "target": target}
        return {name: torch.from_numpy(array).to(self.device) for name, array in arrays.items()}

    def losses(self, model: nn.Module, batch: Batch, progress: float) -> dict[str, Tensor]:
        """`t1` and, while it weighs anything, `anchor`; one forward pass on the rows of n and T(n) together."""
        now, later = model(torch.cat([batch["now"], batch["next"]])).chunk(2)
        terms = {"t1": losses.t1(now, later, batch["weight"], self.config.margin)}
        weight = self.anchor(progress)
        if weight > 0:
            terms["anchor"] = weight * losses.anchor_loss(now, batch["target"])
        return terms

    def potential(self, index: I64) -> npt.NDArray[np.float32]:
        """V of nodes as the model stands, float32 [rows]."""
        training = self.model.training
        self.model.eval()
        parts = []
        with torch.no_grad():
            for part in np.split(index, range(_ROWS_AT_ONCE, len(index), _ROWS_AT_ONCE)):
                x = features(self.data.nodes, part, self.config.lookahead, self.config.features)
                parts.append(self.model(torch.from_numpy(x).to(self.device)).cpu().numpy())
        self.model.train(training)
        return np.concatenate(parts)

    def evaluate(self, split: Split) -> dict[str, Measure]:
        """Every metric on private steps (validation, test) or on all steps of the train orbits."""
        return score(self.data, split, self.potential)

    def facts(self, step: int) -> dict[str, float]:
        """Where the schedules stand, and what the split kept out of training."""
        return {
            "active_seeds": float(self.active(step)),
            "anchor_weight": self.anchor(step / self.config.steps),
            "excluded_curriculum_rows": float(self.data.excluded_curriculum),
            "excluded_random_rows": float(self.data.excluded_pool),
        }
