"""Fine-tuning: a checkpoint whose weights training begins with.

It is part of the data: read once, and shared between trials.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from leadline.checkpoint import Checkpoint, DamagedCheckpoint, checkpoints_at
from leadline.config import ConfigError
from leadline.family import Family
from leadline.finding import Finding
from leadline.storage import Folder, StorageError
from trainables.puzzles.data import PuzzleData
from trainables.recursive.config import RecursiveConfig

__all__ = ["RecursiveData", "Start", "audit_start", "read_start", "same_architecture"]

ARCHITECTURE = (
    "task",
    "size",
    "hidden",
    "heads",
    "h_layers",
    "l_layers",
    "h_cycles",
    "l_cycles",
    "expansion",
    "round_to",
    "positions",
    "rope_theta",
    "puzzle_emb",
    "puzzle_tokens",
    "mlp_t",
    "q_continue",
    "encoder",
    "pooling",
    "encoder_layers",
    "set_layers",
    "context_tokens",
)
"""The fields that decide what the weights mean."""


@dataclass(frozen=True)
class Start:
    """Weights to begin with.

    Attributes:
        name: folder of the checkpoint.
        step: optimizer steps that it was trained for.
        config: the configuration that it was trained with, as plain values.
        arrays: its weights by name, the averaged ones if the checkpoint has them.
    """

    name: str
    step: int
    config: Mapping[str, Any]
    arrays: Mapping[str, npt.NDArray[Any]]

    def weights(self) -> dict[str, Tensor]:
        """Returns copies of the weights, as a module loads them."""
        return {name: torch.from_numpy(np.array(array)) for name, array in self.arrays.items()}


@dataclass(frozen=True, eq=False)  # arrays have no truth to be equal by, so it is the one object
class RecursiveData(PuzzleData):
    """The three splits of a puzzle's boards, and the weights to begin with, if any were named."""

    start: Start | None = None


def _checkpoint(place: str) -> Checkpoint:
    """Loads the checkpoint at a folder.

    A trial's folder is refused: its newest checkpoint would be another after the trial has gone on.
    """
    try:
        store, names = checkpoints_at(folder := Folder.at(place))
        if store.folder != folder:
            return store.load(names[0])
    except (DamagedCheckpoint, StorageError, ValueError) as error:
        raise ConfigError(f"start: {error}") from None
    if names:
        raise ConfigError(
            f"start: {place} is a trial; say which of its checkpoints, such as {place.rstrip('/')}/{names[0]}"
        )
    raise ConfigError(
        f"start: there is no checkpoint at {place}; give the folder of one, such as .../attempt-01/step-000001000"
    )


def read_start(family: Family[Any], config: RecursiveConfig) -> Start | None:
    """Returns the weights that the configuration begins with; None if it begins at random.

    Raises:
        ConfigError: if there is no intact checkpoint there, or it is of another family or
            architecture.
    """
    if not config.start:
        return None
    name, found = config.start, _checkpoint(config.start)
    if found.record["family"] != family.name:
        raise ConfigError(f"start: {name} is of the family {found.record['family']}, this one is {family.name}")
    same_architecture(name, found.record["config"], config)
    arrays = {key: tensor.numpy() for key, tensor in family.scored_weights(found.state).items()}
    return Start(name, found.step, found.record["config"], arrays)


def same_architecture(name: str, trained: Mapping[str, Any], config: RecursiveConfig) -> None:
    """Refuses weights of another architecture.

    Raises:
        ConfigError: naming the first field that differs.
    """
    for field in ARCHITECTURE:
        if field in trained and getattr(config, field, None) != trained[field]:
            needed = f"{field}: must be {trained[field]}, as in {name}, which start names"
            raise ConfigError(f"{needed} (got {getattr(config, field, None)})")


def audit_start(family: Family[Any], config: RecursiveConfig, start: Start) -> Finding:
    """Checks that a start was trained on the same split.

    On another it may have seen boards that are scored.
    """
    before = family.config(start.config)
    same = before.data_key == config.data_key and not before.start
    how = "trained on another split, or itself from a start, and may have seen the boards scored here"
    if same:
        how = "trained on the same split"
    return Finding("overlap_start", not same, float(not same), f"{start.name} ({start.step} steps): {how}.")
