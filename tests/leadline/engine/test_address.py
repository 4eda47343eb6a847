"""Which Ray a command runs on, with real files and a real listener, and no Ray."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from leadline.config import ConfigError
from leadline.engine.address import JOB, Address, find
from tests.conftest import free_port


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Ray's temporary folder, in which no cluster has left word."""
    for name in ("RAY_ADDRESS", JOB):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    (tmp_path / "ray").mkdir()
    return tmp_path / "ray"


@pytest.fixture
def cluster(folder: Path) -> Iterator[str]:
    """The address of one that answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        (folder / "ray_current_cluster").write_text(address)
        yield address


def test_where_nothing_runs_and_nothing_is_said_it_is_this_machine_alone() -> None:
    assert find(None) == Address("alone")


def test_the_cluster_of_this_host_is_used_unless_local_is_asked_for(cluster: str) -> None:
    assert (find(None).kind, find(None).text) == ("submit", cluster)
    assert find("auto").text == cluster
    assert find("local").kind == "alone"


def test_a_cluster_that_was_stopped_is_not_used(folder: Path) -> None:
    (folder / "ray_current_cluster").write_text(f"127.0.0.1:{free_port()}")
    assert find(None).kind == "alone"
    with pytest.raises(ConfigError, match=r"^address: no Ray cluster runs on this host; give"):
        find("auto")


def test_an_option_wins_over_the_environment_and_that_over_the_host(
    cluster: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "http://head:8265")
    assert find(None) == Address("submit", "http://head:8265", "RAY_ADDRESS")
    assert find("https://other:1/") == Address("submit", "https://other:1", "--address")
    assert find("10.0.0.1:6379").text == "10.0.0.1:6379"


def test_a_job_joins_the_cluster_that_it_runs_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(JOB, "name-1")
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    assert find("http://elsewhere:8265") == Address("join", "10.0.0.1:6379", "as a job")


@pytest.mark.parametrize("word", ["ray://head:10001", "head", "http://", "head:port", "http://head:8265/path", "a b:1"])
def test_what_is_no_address_is_refused(word: str) -> None:
    with pytest.raises(ConfigError, match=r"^address: must be http://HOST:PORT of a dashboard, "):
        find(word)
