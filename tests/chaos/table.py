"""The table of what was killed and what was found."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from tests.chaos.attack import Struck
from tests.chaos.found import Found

__all__ = ["Scene", "markdown", "page"]

VICTIMS = {
    "trial": "a trial's process",
    "driver": "driver",
    "machine": "all processes of the command",
    "parent": "parent of the driver",
    "raylet": "raylet",
    "gcs_server": "gcs_server, the head of Ray",
    "store": "S3 gateway, killed and started again",
    "frozen store": "S3 gateway, stopped and continued",
}


@dataclass(frozen=True)
class Scene:
    """One sweep under attack: what it was, what was done to it, what was found."""

    family: str
    storage: str
    concurrent: int
    struck: list[Struck]
    found: Found


def markdown(scenes: Sequence[Scene]) -> str:
    """Two tables: by victim, and by sweep."""
    return f"{_by_victim([struck for scene in scenes for struck in scene.struck])}\n\n{_by_scene(scenes)}\n"


def page(scenes: Sequence[Scene], seed: int, commit: str, seconds: float) -> str:
    """The page of the documentation, written by the run that it tells of.

    Args:
        seconds: that it took.
    """
    kills = sum(len(scene.struck) for scene in scenes)
    return _PAGE.format(kills=kills, seed=seed, commit=commit, minutes=seconds / 60, tables=markdown(scenes))


_PAGE = """# Chaos

`make chaos CHAOS_SEED={seed} CHAOS_KILLS={kills}` at commit {commit}, {minutes:.0f} minutes on 2 CPU cores. The run writes this page.

A sweep is started as a user starts it. Then its processes, or its store, are killed with SIGKILL, {kills} times in all: at random
instants, in the middle of a checkpoint's upload, in the middle of a write to the ledger. A quarter of the random instants does not wait
for training to go on, so that starts are disturbed too. Where the command has ended, it is resumed. No trial's processes are killed three
times, as three failures are a result. What is killed and when follows from the seed; in which state a blow finds its victim does not.

Afterwards the command has ended with code 0, the books are in order, and each trial's reports, and its weights, optimizer, generators and
data cursor at its end, are bit for bit those of the same configuration trained alone without interruption. Where one trial is trained at
a time, leaderboard and confirmed table are those of the sweep that was left in peace. Anything else is a loss.

{tables}
"In an upload" and "in a write": how often the writer died, or its request was lost, in the middle, of the times that this was aimed at. A
checkpoint that was cut off has no manifest, and is never taken for one. A step is trained twice where its process died after it, before
the next checkpoint: the toy family counts them. An attempt after a failure counts towards the three that a trial has.
"""  # noqa: E501


def _by_victim(struck: Sequence[Struck]) -> str:
    groups: dict[str, list[Struck]] = {}
    for victims in [(name,) for name in VICTIMS] + sorted(
        {one.kill.victims for one in struck if len(one.kill.victims) > 1}
    ):
        chosen = [one for one in struck if one.kill.victims == victims]
        if chosen:
            groups[" and ".join(VICTIMS[victim] for victim in victims)] = chosen
    head = [
        "victim",
        "kills",
        "in an upload",
        "in a write to the ledger",
        "drivers started again",
        "commands resumed",
        "attempts begun again",
        "after a failure",
    ]
    columns: list[Callable[[list[Struck]], object]] = [
        len,
        lambda all: _aimed(all, "upload"),
        lambda all: _aimed(all, "ledger"),
        lambda all: sum(one.restarts for one in all),
        lambda all: sum(one.resumes for one in all),
        lambda all: sum(one.retries for one in all),
        lambda all: sum(one.failures for one in all),
    ]
    rows = [
        [name, *(column(chosen) for column in columns)] for name, chosen in [*groups.items(), ("sum", list(struck))]
    ]
    return _table(head, rows)


def _aimed(struck: list[Struck], aim: str) -> str:
    """Hits of attempts."""
    aimed = [one for one in struck if one.kill.aim == aim]
    return f"{sum(bool(one.hit) for one in aimed)} of {len(aimed)}" if aimed else "-"


def _by_scene(scenes: Sequence[Scene]) -> str:
    head = [
        "family",
        "storage",
        "trials at a time",
        "kills",
        "trials",
        "attempts",
        "checkpoints cut off",
        "damaged ones passed over",
    ]
    head += ["steps", "trained twice", "losses"]
    rows: list[list[object]] = []
    for scene in scenes:
        found, counted = scene.found, scene.found.repeated
        row = [
            scene.family,
            scene.storage,
            scene.concurrent,
            len(scene.struck),
            found.trials,
            found.attempts,
            found.cut_off,
        ]
        rows.append(
            [*row, found.damaged, found.steps, "not counted" if counted is None else counted, len(found.losses)]
        )
    sums = [
        sum(value for row in rows if isinstance(value := row[column], int)) for column in range(3, len(head))
    ]  # of those that counted
    return _table(head, [*rows, ["sum", "", "", *sums]])


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    rule = ["---" if index == 0 else "---:" for index in range(len(head))]
    return "\n".join(f"| {' | '.join(map(str, row))} |" for row in [head, rule, *rows])
