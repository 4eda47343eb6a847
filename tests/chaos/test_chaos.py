"""Chaos: a sweep whose processes and store are killed again and again ends as the one that was left in peace."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from leadline.engine.search import Space
from leadline.ledger.history import History
from leadline.ledger.segments import read
from leadline.storage import Folder
from search_spaces.lookahead import collatz
from tests.ceph import Ceph
from tests.chaos.attack import Attack
from tests.chaos.command import Command
from tests.chaos.found import board, examine
from tests.chaos.plan import SHORT, Kill, dealt, plan
from tests.chaos.stores import Disk, Gateway, Store
from tests.chaos.table import Scene, markdown, page
from tests.conftest import ROOT
from tests.leadline import toy_study
from tests.leadline.in_process_sweep import play
from tests.leadline.ledger_audit import audit, without_clocks
from tests.leadline.toy import TRAINED

SWEEP_SEED = "3"
KILLS = 100


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """As trials have it."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@dataclass(frozen=True)
class Script:
    """A sweep as a user begins it."""

    family: str
    script: Sequence[str]
    options: Sequence[str]
    concurrent: int

    @property
    def space(self) -> Space:
        """What it searches."""
        return toy_study.STUDY.space if self.family == "toy" else collatz.space

    def begin(self, store: Store, scratch: Path) -> Command:
        """The command of the sweep that is attacked."""
        counted = {TRAINED: str(scratch / "trained")} if self.family == "toy" else {}
        return Command(self.script, store.uri, "attacked", self._all_options, scratch / "said", counted)

    def in_peace(self, scratch: Path) -> Command:
        """The same sweep, undisturbed, on local disk."""
        return Command(self.script, str(scratch), "whole", self._all_options, scratch / "said in peace", {})

    @property
    def _all_options(self) -> list[str]:
        return [*self.options, "--concurrent", str(self.concurrent), "--seed", SWEEP_SEED]


TOY = ("-m", "tests.leadline.toy_study")
SMALL = Script("toy", TOY, ("sleep=0.02", "ballast=8"), 1)
LONG_TOY = "--steps", "81", "--grace", "3", "ballast=6"
LONG_COLLATZ = "--scale", "smoke", "--steps", "1800", "--grace", "100", "--replicates", "2"
LONG = [  # what is trained two at a time must last longer, as one goes on while the other starts again
    Script("toy", TOY, (*LONG_TOY, "--trials", "24", "sleep=0.1"), 1),
    Script("collatz", ("sweeps/lookahead.py",), (*LONG_COLLATZ, "--trials", "40"), 2),
    Script("toy", TOY, (*LONG_TOY, "--trials", "36", "sleep=0.15"), 2),
    Script("collatz", ("sweeps/lookahead.py",), (*LONG_COLLATZ, "--trials", "20"), 1),
]


def attacked(script: Script, store: Store, kills: list[Kill], scratch: Path, seed: int) -> Scene:
    """The sweep under attack, and what is lost by it: nothing."""
    print(
        f"\nCHAOS_SEED={seed}: {script.family} on {store.label}, {script.concurrent} at a time, {len(kills)} kills",
        flush=True,
    )
    begun = script.begin(store, scratch)
    peaceful = script.in_peace(scratch) if script.concurrent == 1 else None
    attack = Attack(begun, store, "attacked", kills, lambda line: print(line, flush=True))
    try:
        struck = attack.carry_out()
        assert peaceful is None or peaceful.process.wait(900) == 0, peaceful.said
    finally:
        begun.end()
        if peaceful:
            peaceful.end()
    folder = store.folder("attacked")
    toy = script.family == "toy"
    found = examine(
        folder, script.space, scratch / "alone", scratch / "trained" if toy else None, **({"sleep": 0.0} if toy else {})
    )
    if peaceful and board(folder.uri) != board(str(scratch / "whole")):
        found.losses.append("leaderboard or confirmed table are not those of the undisturbed sweep")
    if any(one.state == "running" for one in struck):
        found.losses.append("the sweep is said to run when its machine is lost")
    scene = Scene(script.family, store.label, script.concurrent, struck, found)
    print(markdown([scene]), *found.losses, sep="\n")
    assert not found.losses, f"CHAOS_SEED={seed}: {found.losses}"
    assert len(struck) == len(kills), (
        f"CHAOS_SEED={seed}: the sweep had ended after {len(struck)} of {len(kills)} kills"
    )
    return scene


@pytest.mark.sweep
@pytest.mark.timeout(600)
def test_killed_six_times_it_ends_as_the_undisturbed_one(scratch: Path, seed: int) -> None:
    """The short version of the proof."""
    scene = attacked(SMALL, Disk(scratch), plan(np.random.default_rng(seed), SHORT), scratch, seed)
    for index, one in enumerate(scene.struck):
        if {"driver", "raylet", "gcs_server"} & {*one.kill.victims}:
            # One start may answer two blows: the second can fall before the driver has found that its Ray is gone.
            answers = sum(later.restarts + later.resumes for later in scene.struck[index:])
            assert answers, f"a driver has outlived {one.kill}"
    assert [one.state for one in scene.struck if one.kill.victims == ("machine",)] == ["killed"]
    _check_books(scratch)


def _check_books(scratch: Path) -> None:
    """One trial at a time, runs of one command keep the same books but for clocks: up to the first
    kill, and to the end without Ray.
    """
    events, whole = (read(Folder.at(str(scratch / name / "ledger"))) for name in ("attacked", "whole"))
    killed = without_clocks(events)
    disturbed = [at for at, event in enumerate(killed) if at and event["type"] in ("opened", "closed", "failed")]
    assert killed[: disturbed[0]] == without_clocks(whole)[: disturbed[0]]
    proposed = [[event for event in books if event["type"] == "proposed"] for books in (killed, without_clocks(whole))]
    assert proposed[0] == proposed[1]
    play(Folder.at(str(scratch / "played")), History.of(whole).settings)
    assert without_clocks(read(Folder.at(str(scratch / "played" / "ledger")))) == without_clocks(whole)
    assert audit(Folder.at(str(scratch / "whole"))) == []


@pytest.fixture(scope="module")
def scenes(seed: int) -> Iterator[list[Scene]]:
    """Takes the scenes of the long version; the page is written once all have passed."""
    began, found = time.time(), list[Scene]()
    yield found
    if len(found) == len(LONG):
        (ROOT / "docs" / "chaos.md").write_text(page(found, seed, _commit(), time.time() - began))


@pytest.mark.chaos
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    ("stream", "script", "remote"),
    [(index, script, index >= 2) for index, script in enumerate(LONG)],
    ids=["toy-disk", "collatz-disk", "toy-s3", "collatz-s3"],
)
def test_killed_a_hundred_times_nothing_is_lost(
    stream: int,
    script: Script,
    remote: bool,
    scratch: Path,
    seed: int,
    scenes: list[Scene],
    request: pytest.FixtureRequest,
) -> None:
    """The long version: CHAOS_KILLS in equal parts."""
    generator = np.random.default_rng([seed, stream])
    store: Store = Disk(scratch)
    if remote:
        ceph: Ceph = request.getfixturevalue("ceph")
        store = Gateway(ceph, f"chaos-{stream}")
    kinds = dealt(generator, _share(int(os.environ.get("CHAOS_KILLS", KILLS)), stream), server=store.server)
    scenes.append(attacked(script, store, plan(generator, kinds), scratch, seed))


def _share(kills: int, stream: int) -> int:
    return kills // len(LONG) + (stream < kills % len(LONG))


def _commit() -> str:
    """That of the code that was run; with a plus sign where files differ from it."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.strip()
    changed = subprocess.run(
        ["git", "status", "--porcelain"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    return f"{commit}+" if any(not line.endswith(" docs/chaos.md") for line in changed) else commit
