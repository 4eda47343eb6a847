"""Episodes, drawn by seed and cut into windows: some frames that are seen, some to be predicted."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from trainables.physics.record import I64, Bool, Episodes, Start
from trainables.physics.setting import Setting
from trainables.physics.simulator import simulate
from trainables.physics.world import F64, INSIDE, Ranges, Worlds, regime

__all__ = ["PhysicsData", "Windows", "build", "cut", "draw_start", "train_pool"]

F32 = npt.NDArray[np.float32]

STREAMS = {"train": 0, "validation": 1, "test": 2, "randomised": 3}
"""The second number of each seed; the third is the place of the regime."""


@dataclass(frozen=True)
class Windows:
    """N windows of T frames, of up to B balls, cut from E episodes.

    Attributes:
        states: float32 [N, T, B, 4]: x, y in m from the lower left corner, vx, vy in m/s; 0 for
            balls that are not there.
        mass: float32 [N, B] in kg, 0 for those.
        radius: float32 [N, B] in m, likewise.
        present: bool [N, B].
        world: float32 [N, 6], the world's parameters, as PARAMETERS names them.
        distance: float32 [N], how far the world is outside the training box (`Ranges.distance`).
        episode: int64 [N], the episode, from 0 to E - 1.
        regime: int64 [N], the place of the regime in `PhysicsData.regimes`.
        time: float64 [N], seconds from the episode's beginning to the window's.
        contacts: int64 [N, T, 2], with walls and of balls with each other since the frame before.
        kinetic: float32 [N, T], kinetic energy in J.
        potential: float32 [N, T], potential energy m g(t) y in J.
        work: float32 [N, T], work of gravity since the frame before.
        lost: float32 [N, T], energy lost to drag, friction and impacts since the frame before.
        impulse: float32 [N, T, 2], impulse in kg m/s of gravity, walls and drag since then.
        worlds: float64 [E, 6], the episodes' worlds, unrounded.
        starts: float64 [E, B, 4], the episodes' first states, unrounded.
    """

    states: F32
    mass: F32
    radius: F32
    present: Bool
    world: F32
    distance: F32
    episode: I64
    regime: I64
    time: F64
    contacts: I64
    kinetic: F32
    potential: F32
    work: F32
    lost: F32
    impulse: F32
    worlds: F64
    starts: F64

    def __len__(self) -> int:
        return len(self.states)

    def __getitem__(self, rows: slice | I64 | Bool) -> Windows:
        """Returns some of the windows, with all episodes."""
        whole = ("worlds", "starts")
        return Windows(
            **{one.name: getattr(self, one.name)[() if one.name in whole else rows] for one in fields(Windows)}
        )

    def met(self, seen: int) -> Bool:
        """Tells whether a ball met a wall, or another, after the first `seen` frames: [N, 2]."""
        return np.asarray(self.contacts[:, seen:].any(axis=1))


@dataclass(frozen=True)
class PhysicsData:
    """All splits. Those that are scored hold the interpolation first, then each other regime.

    Attributes:
        setting: what they were made of.
        regimes: the regimes' names; `Windows.regime` counts in them.
        train: the training windows.
        validation: windows of other episodes and worlds.
        test: the same again, of other ones still.
    """

    setting: Setting
    regimes: tuple[str, ...]
    train: Windows
    validation: Windows
    test: Windows

    def scored(self, split: str) -> Windows:
        """Returns the windows of a split.

        Raises:
            ValueError: for a split that does not exist.
        """
        if split not in ("train", "validation", "test"):
            raise ValueError(f"split: no {split!r}; known: train, validation, test")
        found: Windows = getattr(self, split)
        return found


def draw_start(setting: Setting, count: int, generator: np.random.Generator) -> Start:
    """Draws balls for `count` episodes: inside the box, none over another, all else uniform."""
    shape = (count, setting.balls)
    number = generator.integers(setting.fewest, setting.balls, count, endpoint=True)
    present = np.arange(setting.balls) < number[:, None]
    radius = generator.uniform(*setting.radii, shape)
    position = np.zeros((*shape, 2))
    for ball in range(setting.balls):
        # Setting leaves at least a tenth of the room to the last ball, so the loop ends.
        open_ = np.arange(count)
        while len(open_):
            own = radius[open_, ball, None]
            position[open_, ball] = generator.uniform(own, np.array(setting.box) - own)
            apart = np.linalg.norm(position[open_, :ball] - position[open_, ball, None], axis=-1)
            open_ = open_[(apart <= radius[open_, :ball] + own).any(axis=1)]
    return Start(
        position=position,
        velocity=generator.uniform(-setting.speed, setting.speed, (*shape, 2)),
        mass=generator.uniform(*setting.masses, shape),
        radius=radius,
        present=present,
        time=np.zeros(count),
    )


def cut(episodes: Episodes, worlds: Worlds, setting: Setting, place: I64 | None = None) -> Windows:
    """Cuts episodes into windows, all windows of an episode in a row.

    Args:
        episodes: simulated with books.
        worlds: their worlds.
        setting: what says where windows begin and how long they are.
        place: int64 [E], the places of their regimes in `PhysicsData.regimes`; 0 by default.
    """
    books = episodes.books
    assert books is not None
    starts = np.array(setting.starts)
    frames = starts[:, None] + np.arange(setting.window)
    owner = np.repeat(np.arange(len(worlds)), len(starts))
    states = np.concatenate([episodes.position, episodes.velocity], axis=-1)

    def windows(array: npt.NDArray[np.generic]) -> F32:
        found = array[:, frames]
        return found.reshape(-1, *found.shape[2:]).astype(np.float32)

    return Windows(
        states=windows(states),
        mass=episodes.mass[owner].astype(np.float32),
        radius=episodes.radius[owner].astype(np.float32),
        present=episodes.present[owner],
        world=worlds.values[owner].astype(np.float32),
        distance=setting.training.scaled(setting.unit).distance(worlds)[owner].astype(np.float32),
        episode=owner,
        regime=(np.zeros(len(worlds), dtype=np.int64) if place is None else place)[owner],
        time=np.tile(starts * setting.dt, len(worlds)),
        contacts=windows(episodes.contacts).astype(np.int64),
        kinetic=windows(books.kinetic),
        potential=windows(books.potential),
        work=windows(books.work),
        lost=windows(books.lost),
        impulse=windows(books.impulse),
        worlds=worlds.values,
        starts=states[:, 0],
    )


def train_pool(setting: Setting, randomise: float = 0.0, episodes: int | None = None) -> Windows:
    """Makes training windows.

    Args:
        setting: what they are made of.
        randomise: width w of domain randomisation: each parameter of each world is multiplied by a
            number from U(1 - w, 1 + w), the balls being the same. The windows hold the worlds that
            were simulated, so that a network that is given the world is given the right one.
        episodes: how many, where not `setting.train`.
    """
    count = setting.train if episodes is None else episodes
    generator = np.random.default_rng([setting.seed, STREAMS["train"], 0])
    worlds = setting.training.scaled(setting.unit).draw(count, generator)
    if randomise:
        worlds = worlds.randomised(randomise, np.random.default_rng([setting.seed, STREAMS["randomised"], 0]))
    start = draw_start(setting, count, generator)
    made = simulate(worlds, start, setting.frames, setting.dt, setting.substeps, box=setting.box)
    return cut(made, worlds, setting)


def _scored(setting: Setting, split: str) -> Windows:
    """Makes the windows of a scored split, those of all regimes simulated at once."""
    worlds, starts = [], []
    for place, name in enumerate((INSIDE.name, *setting.regimes)):
        generator = np.random.default_rng([setting.seed, STREAMS[split], place])
        ranges: Ranges = regime(name).ranges if place else setting.training
        count = setting.each if place else setting.scored
        worlds.append(ranges.scaled(setting.unit).draw(count, generator))
        starts.append(draw_start(setting, count, generator))
    every = Worlds.joined(worlds)
    made = simulate(every, Start.joined(starts), setting.frames, setting.dt, setting.substeps, box=setting.box)
    return cut(made, every, setting, np.repeat(np.arange(len(worlds)), [len(part) for part in worlds]))


def build(setting: Setting) -> PhysicsData:
    """Makes all splits; the same setting gives the same data, bit for bit."""
    return PhysicsData(
        setting=setting,
        regimes=(INSIDE.name, *setting.regimes),
        train=train_pool(setting),
        validation=_scored(setting, "validation"),
        test=_scored(setting, "test"),
    )
