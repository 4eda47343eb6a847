"""The metrics of an HRM-style network, as they are declared; `scoring` has their values."""

from __future__ import annotations

from leadline.measure import Metric
from trainables.puzzles import votes

__all__ = ["METRICS", "UNIT"]

UNIT = "boards or tasks"
METRICS = (
    Metric(
        "exact",
        "max",
        UNIT,
        "share of boards whose every cell is right, those whose label is PAD left out; "
        "where boards belong to tasks, the mean over tasks of their boards' mean, as for all metrics; "
        "boards of rules that are never trained on count for exact_new alone",
    ),
    Metric(
        "exact_new",
        "max",
        "tasks",
        "exact on rules that are never trained on, each of which is one unit, where demonstrations are beside boards",
        optional=True,
    ),
    Metric(
        "cells",
        "max",
        UNIT,
        "share of all cells that are right, PAD among them: the log's accuracy; of networks with pad=class alone, "
        "as nobody else is asked for PAD",
        optional=True,
    ),
    Metric("cells_without_pad", "max", UNIT, "share of right cells among those whose label is not PAD"),
    Metric("shape", "max", UNIT, "share of answers whose grid has the right height and width", optional=True),
    *votes.vote_metrics(UNIT),
    Metric("cycles", "min", UNIT, "cycles after which a board stops, at most max_cycles", role="descriptive"),
    Metric("halt", "max", UNIT, "probability of halting after a board's last cycle", role="descriptive"),
)
