"""A node that is not as the others: other packages, another clock, a full disk, a GPU that trials share."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from leadline.ledger.events import Reported
from tests.cluster.laptop import SIZES, SLOWLY, Laptop, outcome
from tests.cluster.testbed import SPARE, WORKERS

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]
OTHER = "4.5.0"
"""A version of Optuna that is not the one in constraints.txt."""
AHEAD = 300
THERE = ("--where", "spare=yes")


def test_a_node_with_another_package_is_named_and_not_used(laptop: Laptop, tmp_path: Path) -> None:
    install = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--target",
        str(tmp_path),
        f"optuna=={OTHER}",
    ]
    subprocess.run(install, check=True)
    place = laptop.cluster.hosts.own(SPARE, "home/packages")
    tmp_path.rename(place)
    inside = f"{laptop.cluster.hosts.home}/packages"
    with laptop.cluster.spare(environment={"PYTHONPATH": inside}):
        out = laptop.ended(
            "a node with another version of a package",
            "packages",
            laptop.sweep("packages"),
            lambda: "it is named, and has no trial",
        )
    assert re.search(rf"note: node {SPARE} is not used: it has optuna {re.escape(OTHER)} \(the driver has \d", out), out
    assert laptop.everywhere("packages") == set(WORKERS)


def test_a_node_whose_clock_is_five_minutes_ahead(laptop: Laptop) -> None:
    library = laptop.cluster.hosts.own(SPARE, "home/ahead.so")
    compiler = [
        "cc",
        "-shared",
        "-fPIC",
        f"-DAHEAD={AHEAD}",
        "-o",
        str(library),
        str(Path(__file__).with_name("ahead.c")),
        "-ldl",
    ]
    subprocess.run(compiler, check=True)
    with laptop.cluster.spare(environment={"LD_PRELOAD": f"{laptop.cluster.hosts.home}/ahead.so"}):
        run = laptop.sweep("clock", *THERE, "--trials", "3")
        out = laptop.ended(
            "a node's clock is 5 minutes ahead", "clock", run, lambda: "the difference is said; all trials were there"
        )
    found = re.search(rf"note: the clock of node {SPARE} is (\d+) s ahead", out)
    assert found is not None, out
    assert abs(int(found[1]) - AHEAD) < 60
    assert laptop.everywhere("clock") == {SPARE}


@pytest.mark.parametrize(("place", "mount"), [("/dev/shm", "remount,size=200m"), ("/tmp/ray", "size=300m")])
def test_a_node_whose_disk_is_full(laptop: Laptop, place: str, mount: str) -> None:
    name = "full" + place.replace("/", "-")
    hosts = laptop.cluster.hosts
    made = f"mkdir -p {place} && mount -t tmpfs -o {mount} tmpfs {place}"
    with laptop.cluster.spare(made):
        run = laptop.sweep(name, *SLOWLY)
        laptop.reported(name, SPARE)
        filled = hosts.run(SPARE, "dd", "if=/dev/zero", f"of={place}/filled", "bs=1M", check=False)
        assert "No space left on device" in filled.stderr
        try:
            laptop.ended(
                f"{place} of a node is full",
                name,
                run,
                lambda: f"trials began on {', '.join(sorted(laptop.everywhere(name)))}",
            )
        finally:
            hosts.run(SPARE, "rm", "-f", f"{place}/filled")
    if place != "/dev/shm":
        hosts.run(SPARE, "umount", "--lazy", place)


def test_two_trials_share_a_gpu(laptop: Laptop) -> None:
    """Ray counts one GPU on the node; there is none, so that the family of this study takes the CPU for it."""
    with laptop.cluster.spare("", "--num-gpus=1"):
        words = (
            "tests/cluster/shared_gpu.py",
            *SIZES,
            "--trials",
            "4",
            "--gpus-per-trial",
            "0.5",
            "--storage",
            laptop.storage,
            "--name",
            "gpu",
        )
        laptop.accounted("gpu", laptop.type(*words, *SLOWLY))
    history, events = laptop.history("gpu"), laptop.events("gpu")
    facts = [report.facts for trial in history.trials.values() for report in trial.reports]
    assert {(fact["gpu"], fact["share"]) for fact in facts} == {(0.0, 0.5)}
    alive, most = set[int](), 0
    for event in events:
        if isinstance(event, Reported):
            alive = alive | {event.trial} if event.action == "continue" else alive - {event.trial}
            most = max(most, len(alive))
    assert most == 2
    outcome(
        "four trials of half a GPU on a node of one (logical)",
        "two at a time, both on GPU 0, each held to half of its memory",
    )
