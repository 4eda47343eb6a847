"""What a resumed sweep says of the run before."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from leadline.engine.manifest import differences, manifest
from leadline.engine.provenance import Code

PART = {"commit": "a" * 40, "dirty": False, "fingerprint": "1" * 64}
FILES = {"own/family.py": {"sha256": "1"}, "own/task.py": {"sha256": "2"}}
ARCHIVE: dict[str, Any] = {
    "parts": {"study": {"ask.py": {"sha256": "3"}}, "family": FILES, "framework": {}},
    "packages": {"pandas": "2.2", "torch": "2.9"},
}
CODE = Code({"study": dict(PART), "family": dict(PART), "framework": dict(PART)}, ARCHIVE)
CLEAN: dict[str, Any] = manifest(CODE)
OLD: dict[str, Any] = {**{name: CLEAN[name] for name in ("versions", "machine")}, "commit": "a" * 40, "dirty": False}
"""As manifests were before they held fingerprints."""


def changed(recorded: dict[str, Any], value: Any, *path: str) -> dict[str, Any]:
    """A copy of a manifest, or of an archive, with one value replaced."""
    found = place = copy.deepcopy(recorded)
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    return found


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("versions", "torch"), "9.9", f"torch was {CLEAN['versions']['torch']}, now 9.9"),
        (("versions", "new"), "1", "new was not recorded, now 1"),
        (("machine", "cpus"), 99, f"the machine's cpus was {CLEAN['machine']['cpus']}, now 99"),
        (
            ("code", "family"),
            {"commit": "b" * 40, "dirty": False, "fingerprint": "2" * 64},
            "the family's code differs (was commit aaaaaaaaaaaa, now commit bbbbbbbbbbbb)",
        ),
        (
            ("code", "study"),
            {"commit": "a" * 40, "dirty": True, "fingerprint": "2" * 64},
            "the study's code differs (was commit aaaaaaaaaaaa, now commit aaaaaaaaaaaa with changes)",
        ),
        (
            ("code", "framework"),
            {"commit": None, "dirty": None, "fingerprint": "2" * 64},
            "the framework's code differs (was commit aaaaaaaaaaaa, now in no commit)",
        ),
    ],
)
def test_what_differs_is_said(path: tuple[str, ...], value: Any, said: str) -> None:
    assert differences(CLEAN, changed(CLEAN, value, *path)) == [said]


def test_the_files_that_differ_are_named_and_the_rest_are_counted() -> None:
    now = changed(CLEAN, {**PART, "fingerprint": "2" * 64}, "code", "family")
    one = changed(ARCHIVE, {"sha256": "9"}, "parts", "family", "own/task.py")
    assert differences(CLEAN, now, ARCHIVE, one)[0].startswith("the family's code differs: own/task.py (was ")
    many = changed(ARCHIVE, {f"own/{name}.py": {"sha256": name} for name in "abcd"}, "parts", "family")
    said = "the family's code differs: own/a.py, own/b.py, own/c.py and 3 more (was "
    assert differences(CLEAN, now, ARCHIVE, many)[0].startswith(said)


def test_another_commit_of_the_same_code_is_no_news() -> None:
    now = changed(CLEAN, {**PART, "commit": "b" * 40, "dirty": True}, "code", "family")
    assert differences(CLEAN, now) == []


def test_other_packages_are_said_in_one_entry() -> None:
    now = changed(ARCHIVE, {"pandas": "2.3", "rich": "13", "torch": "2.10"}, "packages")
    assert differences(CLEAN, CLEAN, ARCHIVE, now) == [
        "other packages: pandas was 2.2, now 2.3, rich was not there, now 13"
    ], "torch is named with the versions on which results depend"


def test_where_the_earlier_packages_are_not_known_nothing_is_said_of_them() -> None:
    assert differences(CLEAN, CLEAN, {}, ARCHIVE) == []


@pytest.mark.parametrize(
    ("commit", "dirty", "said"),
    [
        ("a" * 40, False, []),
        ("b" * 40, False, ["the framework's code differs (was commit aaaaaaaaaaaa, now commit bbbbbbbbbbbb)"]),
        (
            "a" * 40,
            True,
            ["the framework's code differs (was commit aaaaaaaaaaaa, now commit aaaaaaaaaaaa with changes)"],
        ),
    ],
)
def test_of_a_manifest_without_fingerprints_the_commit_is_compared(commit: str, dirty: bool, said: list[str]) -> None:
    now = changed(CLEAN, {**PART, "commit": commit, "dirty": dirty}, "code", "framework")
    assert differences(OLD, now) == said


def test_a_manifest_that_names_no_commit_is_no_evidence_of_a_change() -> None:
    assert differences({**OLD, "commit": None, "dirty": None}, CLEAN) == []


def test_the_same_run_again_has_nothing_to_say() -> None:
    assert differences(CLEAN, {**CLEAN, "pid": 1, "process_started": 0.0, "command": ["other"]}) == []
