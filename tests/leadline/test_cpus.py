"""How many CPUs a process may use: real affinities, and recorded files of control groups."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from leadline import cpus
from leadline.config import ConfigError
from leadline.engine import plan
from leadline.storage import Folder
from tests.conftest import command
from tests.leadline.engine.test_director import BASE
from tests.leadline.toy_study import STUDY

V1 = "9:name=systemd:/\n2:cpu,cpuacct:/docker/abc\n1:memory:/docker/abc\n0::/\n"


def test_a_process_that_is_held_to_one_cpu_counts_one() -> None:
    program = """
import os
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
from leadline import cpus
print(cpus.usable(), cpus.in_words(), sep="; ")
"""
    whole = os.cpu_count()
    words = "1 CPU here" if whole == 1 else f"1 CPU that this process may use (of {whole} here)"
    assert command("-c", program).stdout == f"1; {words}\n"


@pytest.fixture
def one_cpu() -> Iterator[None]:
    """Holds the test's thread to one CPU, as `taskset` would."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    yield
    os.sched_setaffinity(0, before)


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="needs two CPUs")
@pytest.mark.usefixtures("one_cpu")
def test_what_does_not_fit_the_usable_cpus_is_refused() -> None:
    assert plan.fitting(1, 0, 1) == 1
    with pytest.raises(ConfigError, match=r"^cpus-per-trial: 2 for each of 1 worker is more than the 1 CPU that this"):
        plan.fitting(2, 0, 1)
    two = dataclasses.replace(BASE, concurrent=2)
    with pytest.raises(
        ConfigError, match=r"^concurrent: 2 trials .* than the 1 that fit this machine: 1 CPU that this"
    ):
        plan.check_fits(two, STUDY.space, Folder.at("results"))


@pytest.mark.parametrize(
    ("groups", "files", "quota"),
    [
        ("0::/\n", {}, math.inf),
        ("0::/a/b\n", {"a/b/cpu.max": "max 100000\n"}, math.inf),
        ("0::/a/b\n", {"a/b/cpu.max": "250000 100000\n"}, 2.5),
        ("0::/a/b\n", {"a/b/cpu.max": "max 100000\n", "a/cpu.max": "150000 100000\n"}, 1.5),
        ("0::/of/the/host\n", {"cpu.max": "50000 100000\n"}, 0.5),
        (V1, {"cpu/docker/abc/cpu.cfs_quota_us": "-1\n", "cpu/docker/abc/cpu.cfs_period_us": "100000\n"}, math.inf),
        (V1, {"cpu/docker/abc/cpu.cfs_quota_us": "300000\n", "cpu/docker/abc/cpu.cfs_period_us": "100000\n"}, 3.0),
        (V1, {"cpu/cpu.cfs_quota_us": "100000\n", "cpu/cpu.cfs_period_us": "50000\n"}, 2.0),
    ],
)
def test_the_least_quota_of_a_group_and_those_around_it_counts(
    groups: str, files: dict[str, str], quota: float, tmp_path: Path
) -> None:
    for name, text in {
        "proc/self/cgroup": groups,
        **{f"sys/fs/cgroup/{name}": text for name, text in files.items()},
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert cpus.quota(tmp_path) == quota


def test_where_there_are_no_control_groups_there_is_no_quota(tmp_path: Path) -> None:
    assert cpus.quota(tmp_path) == math.inf
