"""Hyperparameter sweeps on Ray whose leaderboard cannot fool you.

    from leadline import Scale, Study, main            # a study, run as a script
    from leadline import Family, Task, configuration   # a family of models
    from leadline import Sweep                         # what a sweep has shown

Names are loaded when they are asked for, so that a family needs nothing of Ray, Optuna or
the report.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from leadline.analysis.claims import Claim
    from leadline.analysis.sweep import Sweep
    from leadline.command_line import Command
    from leadline.config import ConfigError, TrialConfig, configuration, knob
    from leadline.curriculum import Curriculum, StageClock, Stages, Vocabulary
    from leadline.engine.run import main
    from leadline.engine.study import Contrast, Scale, Study
    from leadline.family import Family
    from leadline.finding import Finding
    from leadline.measure import Measure, Metric, Report
    from leadline.statistics import mean_over_units
    from leadline.task import Batch, Perturbation, Split, Task

_PLACES = {
    "Batch": "leadline.task",
    "Claim": "leadline.analysis.claims",
    "Command": "leadline.command_line",
    "ConfigError": "leadline.config",
    "Contrast": "leadline.engine.study",
    "Curriculum": "leadline.curriculum",
    "Family": "leadline.family",
    "Finding": "leadline.finding",
    "Measure": "leadline.measure",
    "Metric": "leadline.measure",
    "Perturbation": "leadline.task",
    "Report": "leadline.measure",
    "Scale": "leadline.engine.study",
    "Split": "leadline.task",
    "StageClock": "leadline.curriculum",
    "Stages": "leadline.curriculum",
    "Study": "leadline.engine.study",
    "Sweep": "leadline.analysis.sweep",
    "Task": "leadline.task",
    "TrialConfig": "leadline.config",
    "Vocabulary": "leadline.curriculum",
    "configuration": "leadline.config",
    "knob": "leadline.config",
    "main": "leadline.engine.run",
    "mean_over_units": "leadline.statistics",
}

__all__ = [
    "Batch",
    "Claim",
    "Command",
    "ConfigError",
    "Contrast",
    "Curriculum",
    "Family",
    "Finding",
    "Measure",
    "Metric",
    "Perturbation",
    "Report",
    "Scale",
    "Split",
    "StageClock",
    "Stages",
    "Study",
    "Sweep",
    "Task",
    "TrialConfig",
    "Vocabulary",
    "configuration",
    "knob",
    "main",
    "mean_over_units",
]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_PLACES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
