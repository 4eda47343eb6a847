"""Fine-tuning: a checkpoint whose weights training begins with.

It is part of the data: read once, and shared between trials. Of a network that looks up a context
for each task, as TRM does, ETRM takes the decoder: all but these contexts, in whose place its
encoder begins anew.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from leadline.checkpoint import Checkpoint, DamagedCheckpoint, checkpoints_at
from leadline.config import ConfigError
from leadline.family import Family
from leadline.finding import Finding
from leadline.storage import Folder, StorageError
from trainables.puzzles.data import PuzzleData
from trainables.puzzles.puzzle import Puzzle
from trainables.puzzles.rules import GridRules
from trainables.recursive.config import ETRMConfig, RecursiveConfig, TRMConfig
from trainables.recursive.model import PUZZLE, RecursiveNet

__all__ = ["RecursiveData", "Start", "audit_start", "fits", "read_start"]

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
    "mlp_t",
    "q_continue",
)
"""The fields that decide what the weights of a decoder mean."""
INNER = ("expansion", "round_to")
"""Those of them that together decide SwiGLU's inner width, and nothing else."""
CONTEXT = (
    "puzzle_emb",
    "puzzle_tokens",
    "encoder",
    "pooling",
    "paired",
    "encoder_layers",
    "set_layers",
    "context_tokens",
    "encoding",
)
"""Those that decide what stands ahead of the board."""


@dataclass(frozen=True)
class Start:
    """Weights to begin with.

    Attributes:
        name: folder of the checkpoint.
        before: the configuration that it was trained with.
        step: optimizer steps that it was trained for.
        samples: samples that it was trained on, as its family counts them.
        arrays: its weights by name, the averaged ones if the checkpoint has them.
    """

    name: str
    before: RecursiveConfig
    step: int
    samples: int
    arrays: Mapping[str, npt.NDArray[Any]]

    def decoder(self, config: RecursiveConfig) -> bool:
        """Tells whether a configuration takes the decoder alone; others may share the start."""
        looked_up = bool(self.before.task_embedding and config.reads_demonstrations)
        return looked_up or type(self.before) is not type(config)

    def load(self, net: RecursiveNet) -> None:
        """Puts copies of the weights into a network, which keeps those that it does not take."""
        decoder = self.decoder(net.config)
        taken = {
            name: torch.from_numpy(np.array(array))
            for name, array in self.arrays.items()
            if not (decoder and name.startswith(PUZZLE))
        }
        net.load_state_dict({**net.state_dict(), **taken} if decoder else taken)


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


def read_start(family: Family[Any], config: RecursiveConfig, others: Mapping[str, Family[Any]]) -> Start | None:
    """Returns the weights that the configuration begins with; None if it begins at random.

    Args:
        family: the configuration's family.
        config: names the checkpoint.
        others: the families by name whose decoder may be taken, too.

    Raises:
        ConfigError: if there is no intact checkpoint there, or it is of another family or
            architecture.
    """
    if not config.start:
        return None
    name, found = config.start, _checkpoint(config.start)
    named = found.record["family"]
    if named != family.name and named not in others:
        raise ConfigError(f"start: {name} is of the family {named}, this one is {' or '.join([family.name, *others])}")
    source = family if named == family.name else others[named]
    before = source.config(found.record["config"])
    arrays = {key: tensor.numpy() for key, tensor in source.scored_weights(found.state).items()}
    start = Start(name, before, found.step, found.record["history"][-1]["samples"], arrays)
    _alike(start, config)
    return start


def _same(name: str, before: RecursiveConfig, config: RecursiveConfig, fields: Sequence[str]) -> None:
    """Refuses weights that mean something else.

    A field that has no effect in one of both is passed over, and so are those of an inner width
    that comes out the same. Where another field is why it has none, that one differs, too.

    Raises:
        ConfigError: naming the fields that differ.
    """
    alike = _inner(before) == _inner(config)
    counted = [
        field
        for field in fields
        if hasattr(before, field)
        and not (alike and field in INNER)
        and not (before.has_no_effect(field) or config.has_no_effect(field))
    ]
    pairs = [(field, getattr(before, field), getattr(config, field, None)) for field in counted]
    if differ := [f"{field}: must be {was} (got {now})" for field, was, now in pairs if was != now]:
        raise ConfigError(f"{'; '.join(differ)}, as in {name}, which start names")


def _inner(config: RecursiveConfig) -> tuple[int, ...]:
    """Returns the inner widths of SwiGLU: over the width and, with `mlp_t`, over the tokens."""
    mixes = isinstance(config, TRMConfig) and config.mlp_t
    return (config.inner, *([config.inner_of(config.prefix + config.tokens)] if mixes else []))


def _alike(start: Start, config: RecursiveConfig) -> None:
    """Refuses a start whose weights, as far as the configuration takes them, mean something else.

    Raises:
        ConfigError: naming the fields that differ.
    """
    _same(start.name, start.before, config, (*ARCHITECTURE, *(() if start.decoder(config) else CONTEXT)))


def fits(start: Start, config: RecursiveConfig) -> None:
    """Refuses a start that does not fit a configuration which shares its data.

    Raises:
        ConfigError: naming the fields that differ.
    """
    _alike(start, config)
    if start.before.prefix != config.prefix:
        field = "context_tokens"
        if isinstance(config, ETRMConfig) and config.prefix != config.context_tokens:
            field = "pooling" if start.decoder(config) else "demonstrations"
        tokens = f"{start.before.prefix} tokens stand ahead of the board in {start.name}, which start names"
        raise ConfigError(f"{field}: {tokens}, and {config.prefix} here")


def _shown_as(before: RecursiveConfig, config: RecursiveConfig) -> Puzzle:
    """Returns a start's puzzle, with as many demonstrations as the configuration's where these are
    nothing to it: where its network read none, and boards are in the same split with any number.
    """
    puzzle = before.puzzle
    if isinstance(puzzle, GridRules) and not before.reads_demonstrations:
        return replace(puzzle, demonstrations=config.demonstrations)
    return puzzle


def audit_start(config: RecursiveConfig, start: Start) -> Finding:
    """Checks that a start was trained on the same split.

    On another it may have seen boards that are scored.

    Raises:
        ConfigError: if it does not fit the configuration.
    """
    fits(start, config)
    before = start.before
    boards = before.key_of(_shown_as(before, config))
    same = boards == config.data_key and not before.start
    how = "trained on the same split"
    if not same:
        why = (
            f"itself from a start, {before.start}"
            if before.start
            else f"trained on {boards}, this is {config.data_key}"
        )
        how = f"{why}, so it may have seen the boards scored here"
    taken = "its decoder" if start.decoder(config) else "all its weights"
    spent = f"{start.step} steps, {start.samples} samples"
    return Finding("overlap_start", not same, float(not same), f"{start.name} ({spent}), {taken}: {how}.")
