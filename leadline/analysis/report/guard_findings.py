"""What the guards found, by guard: how many trials, what was measured, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from leadline.finding import Finding
from leadline.ledger.history import History, Trial
from leadline.ledger.leaderboard_table import number

__all__ = ["Group", "advice", "groups"]

ADVICE: Mapping[str, str] = {
    "baseline": (
        "Do not quote the score without the predictor that beats it. Train longer, or ask whether the metric "
        "rewards the task."
    ),
    "overlap": "Split again by the unit that repeats, and discard scores on the rows that were seen in training.",
    "input": (
        "The outputs hardly depend on the inputs: look for saturation, masks, padding and a loss that a "
        "constant satisfies."
    ),
    "gradient": (
        "Look for a detach, a no_grad block or an unused submodule; freeze on purpose what is not to be trained."
    ),
    "no_op": "Remove it, or give it weight: as it stands, the run is the same without it.",
    "learning_rate": (
        "Training has stopped, whatever the budget says: feed the schedule with evaluations, not with "
        "batches, or slow it."
    ),
    "perturbation": "Perturb in float32, or larger: at this precision most of it is rounded away.",
    "spike": "Lower the learning rate or clip the gradient, and look at the batch of that step.",
    "plateau": (
        "Compare with the learning rate and the curriculum of that moment before calling it a limit of the model."
    ),
    "throughput": "The machine was slow or shared: compare by steps or samples, not by time.",
    "validation_cost": "Report less often, score fewer rows, or give the family parts to score.",
    "memory": "Halve the micro-batch, or look for tensors that are kept from step to step.",
}
"""Advice by how a guard's name begins, or by a word in it."""

OTHERWISE = "Read the sentence, and judge the score with it."


@dataclass(frozen=True)
class Group:
    """The failed findings of one guard.

    Attributes:
        guard: the guard's name.
        found: pairs of a trial and its latest finding, in order of trials.
    """

    guard: str
    found: list[tuple[Trial, Finding]]

    @property
    def trials(self) -> int:
        """The number of distinct trials that the guard marks."""
        return len({trial.number for trial, _ in self.found})

    @property
    def rows(self) -> list[tuple[str, ...]]:
        """A row for each finding: trial, stratum, what it is about, number, sentence."""
        return [
            (str(trial.number), trial.stratum, one.subject or "-", number(one.number), one.sentence)
            for trial, one in self.found
        ]

    @property
    def advice(self) -> str:
        """The advice on what to do about the findings."""
        return advice(self.guard)


def advice(guard: str) -> str:
    """Returns what to do about a finding of a guard or audit.

    For an unknown name it is a general sentence.
    """
    known = [text for name, text in ADVICE.items() if guard.startswith(name)]
    return next(iter(known or [text for name, text in ADVICE.items() if name in guard]), OTHERWISE)


def groups(history: History) -> list[Group]:
    """Returns the failed guards of search and confirmation, those that mark most trials first."""
    by_guard: dict[str, list[tuple[Trial, Finding]]] = {}
    for _, trial in sorted(history.trials.items()):
        for finding in trial.findings:
            if finding.failed:
                by_guard.setdefault(finding.guard, []).append((trial, finding))
    return sorted(
        (Group(guard, found) for guard, found in by_guard.items()), key=lambda group: (-group.trials, group.guard)
    )
