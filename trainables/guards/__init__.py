"""Guards: small objects that watch every trial of every family for ways in which its score could mislead."""

from __future__ import annotations

from trainables.guards.guard import Guard

__all__ = ["every_guard"]


def every_guard() -> list[Guard]:
    """A fresh one of each, for one trial."""
    # Imported here since a family, which some of them know, imports the base from this package.
    from trainables.guards.gradients import GradientCoverage
    from trainables.guards.learning_rate import LearningRate
    from trainables.guards.memory import Memory
    from trainables.guards.no_op import NoOpStage, NoOpTerm
    from trainables.guards.perturbation import EffectivePerturbation
    from trainables.guards.plateau import Plateau
    from trainables.guards.sensitivity import InputSensitivity
    from trainables.guards.spikes import Spikes
    from trainables.guards.throughput import Throughput

    watching_steps = [InputSensitivity(), GradientCoverage(), NoOpTerm(), NoOpStage(), EffectivePerturbation()]
    return [*watching_steps, LearningRate(), Spikes(), Plateau(), Throughput(), Memory()]
