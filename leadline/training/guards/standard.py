"""The guards that every trial has."""

from __future__ import annotations

from leadline.training.guards.gradients import GradientCoverage
from leadline.training.guards.guard import Guard
from leadline.training.guards.learning_rate import LearningRate
from leadline.training.guards.memory import Memory
from leadline.training.guards.no_op import NoOpStage, NoOpTerm
from leadline.training.guards.perturbation import EffectivePerturbation
from leadline.training.guards.plateau import Plateau
from leadline.training.guards.sensitivity import InputSensitivity
from leadline.training.guards.spikes import Spikes
from leadline.training.guards.throughput import Throughput
from leadline.training.guards.validation_cost import ValidationCost

__all__ = ["every_guard"]


def every_guard() -> list[Guard]:
    """Makes the guards that every trial has, new ones for each attempt."""
    watching_steps = [InputSensitivity(), GradientCoverage(), NoOpTerm(), NoOpStage(), EffectivePerturbation()]
    return [*watching_steps, LearningRate(), Spikes(), Plateau(), Throughput(), Memory(), ValidationCost()]
