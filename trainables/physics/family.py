"""The physics family: networks that see balls in a box and predict where they fly."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from leadline.config import TrialConfig
from leadline.curriculum import Curriculum
from leadline.family import Family
from leadline.finding import Finding
from leadline.measure import Measure, Metric
from trainables.physics.config import DATA_FIELDS, PhysicsConfig
from trainables.physics.metrics import METRICS
from trainables.physics.presets import PRESETS

if TYPE_CHECKING:  # what trains is imported where it trains: see `Family`
    import torch
    from torch import nn

    from leadline.task import Split
    from leadline.training.guards.guard import Guard
    from trainables.physics.data import Prepared
    from trainables.physics.model import Transformer
    from trainables.physics.prediction import PredictedFrames
    from trainables.physics.task import PhysicsTask

__all__ = ["PHYSICS", "PhysicsFamily"]


class PhysicsFamily(Family[PhysicsConfig]):
    """Networks that see some frames of balls in a box and predict the next ones.

    Configurations that differ in model, loss or curriculum alone share their data.
    """

    name = "physics"
    Config = PhysicsConfig
    metrics: ClassVar[tuple[Metric, ...]] = METRICS
    input_help = "JSON of frames [seen][balls][x, y, vx, vy], masses, radii and world, as --example prints it"
    objective = "skill"
    beside = ("extrapolation_skill", "novel_skill", "energy")
    claims = "analysis.physics.claims:CLAIMS"
    commands: ClassVar[Mapping[str, str]] = {"failures": "analysis.physics.commands:FAILURES"}
    studies: ClassVar[Mapping[str, str]] = {
        study: f"search_spaces.{study}.physics:STUDY" for study in ("lookahead", "curriculum_length", "batch_size")
    }
    presets: ClassVar[Mapping[str, Callable[[float], TrialConfig]]] = PRESETS

    def data_key(self, config: PhysicsConfig) -> str:
        """Names the data by `DATA_FIELDS`."""
        values = {name: getattr(config, name) for name in DATA_FIELDS}
        read = hashlib.sha256(repr(sorted(values.items())).encode()).hexdigest()[:16]
        return f"physics-{config.episodes}-seed{config.data_seed}-{read}"

    def curriculum(self, config: PhysicsConfig) -> Curriculum:
        """Returns the stages of a configuration."""
        return config.curriculum

    def build_data(self, config: PhysicsConfig) -> Prepared:
        """Simulates the episodes of all splits and scores the trivial predictors."""
        from trainables.physics.data import prepare

        return prepare(config)

    def audit(self, config: PhysicsConfig, data: Prepared) -> list[Finding]:
        """Checks that no episode and no world of one split is in another."""
        from trainables.physics import audit

        return audit.audit(data.physics, config.width_of_randomisation * (config.randomised > 0))

    def baselines(self, config: PhysicsConfig, data: Prepared, split: Split) -> dict[str, dict[str, Measure]]:
        """Scores the predictors that learn nothing, and the oracles."""
        from trainables.physics import baselines

        return baselines.baselines(data, split)

    def task(self, config: PhysicsConfig, data: Prepared, device: torch.device) -> PhysicsTask:
        """Returns a fresh task."""
        from trainables.physics.task import PhysicsTask

        return PhysicsTask(config, data, device)

    def model(self, config: PhysicsConfig) -> Transformer:
        """Returns the untrained network, on the CPU; its units come with the weights."""
        from trainables.physics.model import network

        return network(config)

    def guards(self, config: PhysicsConfig) -> Sequence[Guard]:
        """Returns guards on physics terms that read the wrong numbers or swamp the data term."""
        from trainables.physics.guards import Swamped, WrongNumbers

        return (WrongNumbers(), Swamped())

    def predict(self, model: nn.Module, inputs: Any, config: PhysicsConfig) -> PredictedFrames:
        """Returns the next frames of balls in a box.

        Args:
            model: the network.
            inputs: a mapping with `frames`, the states (x, y, vx, vy) of each ball in each frame
                that is seen, [seen][balls][4] in m and m/s; `masses` and `radii` of the balls in kg
                and m; and `world`, its parameters by name, such as gravity, where the network reads
                them or a flight needs them.
            config: the configuration.

        Raises:
            ConfigError: beginning with `inputs`, for anything else.
        """
        from trainables.physics.prediction import predicted

        return predicted(model, inputs, config)

    def example(self, config: PhysicsConfig) -> dict[str, Any]:
        """Returns a ball thrown upwards from the middle of the box, and others beside it."""
        from trainables.physics.prediction import example

        return example(config)


PHYSICS = PhysicsFamily()
