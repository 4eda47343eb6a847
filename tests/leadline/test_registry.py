"""Families by name: by entry point, by list, handed on to a job, by place."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from leadline import registry
from leadline.config import ConfigError
from tests.leadline.toy import TOY, Toy

ELSEWHERE = """
from tests.leadline.toy import Toy

MINE = Toy()
LISTED = {"listed": "elsewhere:MINE", "both": "elsewhere:MINE"}
NUMBER = 3

class Odd(Toy):
    pass
"""
POINTS = """
[leadline.families]
mine = elsewhere:MINE
lost = elsewhere:LOST
broken = broken:FAMILY
both = elsewhere:LOST

[leadline.family_lists]
good = elsewhere:LISTED
gone = not_there:FAMILIES
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A distribution of another package, as an installer leaves it behind."""
    (tmp_path / "elsewhere.py").write_text(ELSEWHERE)
    (tmp_path / "broken.py").write_text("import a_package_that_is_not_installed\n")
    info = tmp_path / "elsewhere-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: elsewhere\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(POINTS)
    monkeypatch.syspath_prepend(str(tmp_path))
    for module in ("elsewhere", "broken"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    return tmp_path


@pytest.mark.usefixtures("installed")
def test_an_unknown_name_lists_those_that_are_known_and_the_lists_that_are_not() -> None:
    with pytest.raises(
        ConfigError,
        match=r"^family: no 'mime'; installed: .*mine.*; did you mean mine\?; cannot load not_there:FAMILIES",
    ):
        registry.family("mime")


def test_a_family_by_its_place() -> None:
    assert registry.family("tests.leadline.toy:TOY") is TOY


@pytest.mark.parametrize("place", [":", ":TOY", "tests:", ".toy:TOY"])
def test_half_a_place_is_refused(place: str) -> None:
    with pytest.raises(ConfigError, match="neither a name nor"):
        registry.family(place)


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "nowhere.at_all:X",
            "cannot load nowhere.at_all:X: the package nowhere is missing here: go to its folder",
        ),
        ("elsewhere:LOST", "cannot load elsewhere:LOST: .*LOST"),
        ("lost", "cannot load elsewhere:LOST: .*LOST"),
        ("broken", "cannot load broken:FAMILY: .*a_package_that_is_not_installed"),
        ("elsewhere:NUMBER", "elsewhere:NUMBER is an int, not"),
        ("elsewhere:Odd", "elsewhere:Odd is an ABCMeta, not"),
    ],
)
def test_what_is_no_family_is_refused(name: str, message: str) -> None:
    with pytest.raises(ConfigError, match=f"^family: {message}"):
        registry.family(name)


@pytest.mark.usefixtures("installed")
def test_names_come_from_entry_points_and_from_lists_which_win() -> None:
    import elsewhere  # type: ignore[import-not-found]

    assert {"mine", "listed", "both"} <= set(registry.names())
    assert registry.names() == sorted(registry.names())
    for name in ("mine", "listed", "both"):
        assert registry.family(name) is elsewhere.MINE


@pytest.mark.usefixtures("installed")
def test_a_list_needs_no_new_installation(monkeypatch: pytest.MonkeyPatch) -> None:
    import elsewhere

    monkeypatch.setitem(elsewhere.LISTED, "new", "tests.leadline.toy:TOY")
    assert registry.family("new") is TOY


def test_a_job_knows_the_families_of_its_submitter(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    handed = registry.handed_on()
    assert {"mine=elsewhere:MINE", "listed=elsewhere:MINE"} <= set(handed.split(","))
    (installed / "elsewhere-1.0.dist-info" / "entry_points.txt").unlink()
    registry._entries.cache_clear()  # as in a process of the job's
    with pytest.raises(ConfigError, match="no 'mine'"):
        registry.family("mine")
    monkeypatch.setenv(registry.HANDED_ON, handed)
    assert registry.family("mine").name == "toy"


def test_what_a_sweep_has_recorded_is_used_where_the_name_is_not_known() -> None:
    assert registry.family("forgotten", "tests.leadline.toy:TOY") is TOY
    with pytest.raises(ConfigError, match="the package gone is missing here"):
        registry.family("forgotten", "gone.family:GONE")


def test_a_folder_that_hides_a_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for place in ("mine", "ours"):
        (tmp_path / place / "shadowed").mkdir(parents=True)
        (tmp_path / place / "shadowed" / "__init__.py").touch()
    (tmp_path / "ours" / "shadowed" / "family.py").write_text("from tests.leadline.toy import TOY\n")
    monkeypatch.syspath_prepend(str(tmp_path / "ours"))
    monkeypatch.syspath_prepend(str(tmp_path / "mine"))
    said = f"shadowed was found at {tmp_path}/mine/shadowed, which hides {tmp_path}/ours/shadowed"
    with pytest.raises(ConfigError, match=f"^family: cannot load shadowed.family:TOY: {said}$"):
        registry.family("shadowed.family:TOY")


@pytest.mark.parametrize(
    "content", ["FAMILIES = ['mine']", "FAMILIES = {'cats': object}", "raise RuntimeError('no')", ""]
)
def test_a_list_that_is_none_costs_no_other_family(
    content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A package of the user's own may have the name under which the list is sought."""
    (tmp_path / "not_there.py").write_text(content)
    info = tmp_path / "mine-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[leadline.families]\nmine = tests.leadline.toy:TOY\n[leadline.family_lists]\ngone = not_there:FAMILIES\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "not_there", raising=False)
    assert registry.family("mine") is TOY
    with pytest.raises(ConfigError, match=r"no 'nobody'; installed: .*mine.*not_there:FAMILIES"):
        registry.family("nobody")


def test_a_family_of_the_program_itself_is_refused_with_a_hint() -> None:
    """Trials run in other processes, whose `__main__` is another program."""
    with pytest.raises(ConfigError) as refused:
        registry.family("__main__:MINE")
    assert str(refused.value).startswith("family: __main__:MINE is found in no other process")
    assert str(refused.value).endswith("such as my_family.py, and name it my_family:MINE")


def test_a_module_that_exits_when_it_is_imported_is_refused_with_its_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "leaving.py").write_text("import sys\nsys.exit('no licence here')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ConfigError, match=r"cannot load leaving:MINE: sys.exit was called: no licence here$"):
        registry.family("leaving:MINE")


TWICE, STRANGE, UNMADE, NAMELESS = (type(name, (Toy,), {})() for name in ("Twice", "Strange", "Unmade", "Nameless"))
type(TWICE).metrics = Toy.metrics * 2
type(STRANGE).beside = ("rank",)
type(UNMADE).Config = dict
type(NAMELESS).name = 7


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("TWICE", "metrics: 'error' is declared twice"),
        ("STRANGE", "beside: 'rank' is no metric; the metrics are error"),
        ("UNMADE", "Config: expected a class made by leadline.configuration"),
        ("NAMELESS", "name: expected text (got 7)"),
    ],
)
def test_attributes_that_cannot_be_right_are_refused(name: str, words: str) -> None:
    with pytest.raises(ConfigError) as refused:
        registry.family(f"tests.leadline.test_registry:{name}")
    assert words in str(refused.value)
