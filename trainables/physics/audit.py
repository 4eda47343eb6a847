"""What is trained on and also scored, and whether stored frames are those of the stored worlds."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import numpy.typing as npt

from leadline.finding import Finding
from leadline.training.guards.overlap import overlap
from trainables.physics.episodes import PhysicsData, Windows
from trainables.physics.record import Start
from trainables.physics.setting import Setting
from trainables.physics.simulator import simulate
from trainables.physics.world import INSIDE, TRAINING, Ranges, Worlds, regime

__all__ = ["audit", "range_findings"]

AGAIN = 64
"""How many windows of each split are simulated again, evenly spaced."""

TOLERANCE = 1e-2
"""The largest error of a window that was simulated again, in units of the box or of `speed`.

A window's first frame is rounded to float32, which contacts make larger, so some windows would fail
a tolerance near the rounding; a wrong world fails this one.
"""


def audit(data: PhysicsData, randomise: float = 0.0) -> list[Finding]:
    """Returns the findings; a failed one refuses the data.

    Args:
        data: all splits.
        randomise: the largest width of domain randomisation that a trial may use.
    """
    splits = {"train": data.train, "validation": data.validation, "test": data.test}
    findings = []
    for (one, first), (other, second) in combinations(splits.items(), 2):
        among = "" if one == "train" else f" in {one}"
        findings += [
            overlap(_episodes(first), _episodes(second), f"{other} episodes{among}"),
            overlap(_worlds(first), _worlds(second), f"{other} worlds{among}"),
        ]
    return [
        *findings,
        *(_divided(name, windows) for name, windows in splits.items()),
        *(_again(name, windows, data.setting) for name, windows in splits.items()),
        *range_findings(data.regimes, data.setting.training, randomise),
    ]


def _episodes(windows: Windows) -> list[bytes]:
    """The key of each window's episode: the first state of all its balls, bit for bit."""
    return [windows.starts[episode].tobytes() for episode in windows.episode.tolist()]


def _worlds(windows: Windows) -> list[bytes]:
    """The key of each window's world: its parameters, bit for bit."""
    return [windows.worlds[episode].tobytes() for episode in windows.episode.tolist()]


def _divided(name: str, windows: Windows) -> Finding:
    """Counts the windows whose world is not that of their episode, or in which no episode begins.

    The keys above are those of episodes; this says that the windows are theirs.
    """
    stored = windows.worlds[windows.episode].astype(np.float32)
    strange = (stored != windows.world).any(axis=1)
    begins = windows.time == 0
    first = windows.starts[windows.episode].astype(np.float32)
    strange |= begins & (first != windows.states[:, 0]).any(axis=(1, 2))
    count = int(strange.sum())
    return Finding(
        f"windows_of_{name}", count > 0, count, f"{count} windows of {name} have the world or the start of another."
    )


def _again(name: str, windows: Windows, setting: Setting) -> Finding:
    """Simulates some episodes again and counts the windows that are not found in them."""
    rows = np.unique(np.linspace(0, len(windows) - 1, min(AGAIN, len(windows))).round().astype(np.int64))
    some = windows[rows]
    first = some.starts[some.episode]
    start = Start(
        position=first[..., :2],
        velocity=first[..., 2:],
        mass=some.mass.astype(np.float64),
        radius=some.radius.astype(np.float64),
        present=some.present,
        time=np.zeros(len(some)),
    )
    worlds = Worlds(some.worlds[some.episode])
    made = simulate(worlds, start, setting.frames, setting.dt, setting.substeps, box=setting.box, books=False)
    frames = np.round(some.time / setting.dt).astype(np.int64)[:, None] + np.arange(setting.window)
    row = np.arange(len(some))[:, None]
    states = np.concatenate([made.position[row, frames], made.velocity[row, frames]], axis=-1)
    error: npt.NDArray[np.float64] = np.abs(states - some.states) / np.repeat([max(setting.box), setting.speed], 2)
    wrong = int((error.max(axis=(1, 2, 3)) > TOLERANCE).sum())
    return Finding(
        f"simulated_{name}",
        wrong > 0,
        wrong,
        f"{wrong} of {len(some)} windows of {name} are not what the simulator makes of their episode.",
    )


def range_findings(regimes: tuple[str, ...], training: Ranges = TRAINING, randomise: float = 0.0) -> list[Finding]:
    """Returns, for each regime, the share of its ranges that training worlds are drawn from.

    A regime of extrapolation fails where the training ranges share any of its own: what it measures
    would be interpolation. Interpolation is meant to share all, and novel regimes may.

    Args:
        regimes: names of regimes.
        training: the training ranges.
        randomise: width of domain randomisation, which widens them.
    """
    trained = training.widened(randomise)
    found = []
    for name in regimes:
        share = trained.share_inside(training if name == INSIDE.name else regime(name).ranges)
        sentence = f"{share:.1%} of the worlds of {name} could be drawn in training"
        # Not of the widened ranges: whether randomised worlds may reach it is what arms compare.
        beyond = name != INSIDE.name and regime(name).kind == "extrapolation"
        inside = beyond and training.share_inside(regime(name).ranges) > 0
        found.append(Finding("shared_ranges", inside, share, f"{sentence}, randomised by {randomise:g}.", name))
    return found
