"""The folder for Ray's sockets, with real sockets at the length that the kernel allows."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from leadline.config import ConfigError
from leadline.engine.ray import temporary
from leadline.engine.ray.private import SOCKET, SOCKET_PATH_BYTES
from leadline.engine.ray.temporary import folder_for_sockets


def scratch(tmp_path: Path, length: int) -> str:
    """A folder whose path has this many bytes."""
    folder = tmp_path / ("x" * (length - len(str(tmp_path)) - 1))
    folder.mkdir()
    return str(folder)


@pytest.fixture
def short(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is looked to in place of /tmp."""
    place = tmp_path_factory.getbasetemp()
    monkeypatch.setattr(temporary, "PLACES", ("/proc/nowhere", str(place)))
    return place


def test_a_path_that_is_short_enough_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(temporary, "SOCKET_PATH_BYTES", len(str(tmp_path)) + len(SOCKET))
    assert folder_for_sockets(str(tmp_path)) == str(tmp_path)
    assert folder_for_sockets(f"{tmp_path}x") != f"{tmp_path}x"


def test_the_longest_path_that_is_used_can_be_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = "y" * (SOCKET_PATH_BYTES - len(SOCKET)) + SOCKET.replace("/", "-")
    with socket.socket(socket.AF_UNIX) as fits, socket.socket(socket.AF_UNIX) as longer:
        fits.bind(path)
        with pytest.raises(OSError, match="path too long"):
            longer.bind(f"{path}y")


def test_one_that_is_too_long_gets_a_folder_in_the_first_place_that_takes_one(tmp_path: Path, short: Path) -> None:
    found = folder_for_sockets(scratch(tmp_path, SOCKET_PATH_BYTES))
    assert Path(found).parent == short
    Path(found).rmdir()


def test_where_no_place_takes_one_the_length_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(temporary, "PLACES", ("/proc/nowhere",))
    folder = scratch(tmp_path, SOCKET_PATH_BYTES)
    with pytest.raises(
        ConfigError, match=r"^TMPDIR: .* is too long for the sockets of Ray, and /proc/nowhere"
    ) as refused:
        folder_for_sockets(folder)
    most = int(str(refused.value).split()[-2])
    assert most == SOCKET_PATH_BYTES - len(SOCKET) - len("/") - len(Path(folder).name)
