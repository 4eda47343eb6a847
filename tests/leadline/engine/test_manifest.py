"""What a resumed sweep says of the run before."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from leadline.engine.manifest import differences, manifest

CLEAN: dict[str, Any] = {**manifest(), "commit": "a" * 40, "dirty": False}


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("commit",), "b" * 40, "the code was at commit aaaaaaaaaaaa, now at bbbbbbbbbbbb"),
        (("commit",), None, "the code was at commit aaaaaaaaaaaa, now at none recorded"),
        (("dirty",), True, "the code has uncommitted changes"),
        (("versions", "torch"), "9.9", f"torch was {CLEAN['versions']['torch']}, now 9.9"),
        (("versions", "new"), "1", "new was not recorded, now 1"),
        (("machine", "cpus"), 99, f"the machine's cpus was {CLEAN['machine']['cpus']}, now 99"),
    ],
)
def test_what_differs_is_said(path: tuple[str, ...], value: Any, said: str) -> None:
    now = {**copy.deepcopy(CLEAN), "parent": 1}
    place = now
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    assert differences(CLEAN, now) == [said]


def test_uncommitted_changes_are_no_news_to_the_next_driver_of_one_command() -> None:
    dirty = {**CLEAN, "dirty": True}
    assert differences(dirty, {**dirty, "pid": 1}) == []
    assert differences(dirty, {**dirty, "parent": 1}) == ["the code has uncommitted changes"]


def test_the_same_run_again_has_nothing_to_say() -> None:
    assert differences(CLEAN, {**CLEAN, "pid": 1, "process_started": 0.0, "command": ["other"]}) == []
