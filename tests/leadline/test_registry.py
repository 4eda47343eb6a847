"""Families by name, by entry point, by place."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from leadline import registry
from leadline.config import ConfigError
from trainables.collatz.family import COLLATZ


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A distribution of another package, as an installer leaves it behind."""
    (tmp_path / "elsewhere.py").write_text(
        "from trainables.collatz.family import CollatzFamily\nMINE = CollatzFamily()\nNUMBER = 3\n\nclass Odd(CollatzFamily):\n    pass\n"
    )
    (tmp_path / "broken.py").write_text("import a_package_that_is_not_installed\n")
    info = tmp_path / "elsewhere-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: elsewhere\nVersion: 1.0\n")
    points = "mine = elsewhere:MINE\nlost = elsewhere:LOST\nbroken = broken:FAMILY\ncollatz = elsewhere:MINE\n"
    (info / "entry_points.txt").write_text(f"[leadline.families]\n{points}")
    monkeypatch.syspath_prepend(str(tmp_path))
    for module in ("elsewhere", "broken"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    return tmp_path


def test_a_family_of_this_package() -> None:
    assert "collatz" in registry.names()
    assert registry.family("collatz") is COLLATZ


def test_a_family_makes_its_configuration_of_plain_or_textual_values() -> None:
    assert COLLATZ.config({"lookahead": "20", "layers": "8,4"}) == COLLATZ.config({"lookahead": 20, "layers": [8, 4]})
    assert isinstance(COLLATZ.config({}), COLLATZ.Config)
    with pytest.raises(ConfigError, match=r"^lookahed: unknown field of collatz; did you mean lookahead\?$"):
        COLLATZ.config({"lookahed": 20})


def test_an_unknown_name_lists_those_that_are_known() -> None:
    with pytest.raises(ConfigError, match=r"^family: no 'colatz'; installed: .*collatz"):
        registry.family("colatz")


def test_a_family_by_its_place() -> None:
    assert registry.family("trainables.collatz.family:COLLATZ") is COLLATZ


@pytest.mark.parametrize("place", [":", ":COLLATZ", "trainables:", ".family:COLLATZ"])
def test_half_a_place_is_refused(place: str) -> None:
    with pytest.raises(ConfigError, match="neither a name nor"):
        registry.family(place)


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere.at_all:X", "cannot load nowhere.at_all:X: No module named 'nowhere'"),
        ("elsewhere:LOST", "cannot load elsewhere:LOST: .*LOST"),
        ("lost", "cannot load elsewhere:LOST: .*LOST"),
        ("broken", "cannot load broken:FAMILY: .*a_package_that_is_not_installed"),
        ("elsewhere:NUMBER", "elsewhere:NUMBER is a int, not"),
        ("elsewhere:Odd", "elsewhere:Odd is a ABCMeta, not"),
    ],
)
def test_what_is_no_family_is_refused(name: str, message: str) -> None:
    with pytest.raises(ConfigError, match=f"^family: {message}"):
        registry.family(name)


@pytest.mark.usefixtures("installed")
def test_an_installed_package_adds_a_family_and_replaces_none() -> None:
    import elsewhere  # type: ignore[import-not-found]

    assert "mine" in registry.names()
    assert registry.names() == sorted(registry.names())
    assert registry.family("mine") is elsewhere.MINE
    assert registry.family("collatz") is COLLATZ
