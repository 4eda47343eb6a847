"""Which Ray a command runs on, with real files and a real listener, and no Ray."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from leadline.config import ConfigError
from leadline.engine import address
from leadline.engine.address import JOB, Address, check_answers, find
from tests.conftest import free_port


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Ray's temporary folder, in which no cluster has left word."""
    for name in ("RAY_ADDRESS", JOB, "http_proxy", "HTTP_PROXY"):
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


@pytest.mark.parametrize(
    "word",
    [
        "ray://head:10001",
        "head",
        "http://",
        "head:port",
        "http://head:8265/path",
        "a b:1",
        "head:99999",
        "head:0",
        "http://head:abc",
        "http://[::1",
        "http://:8265",
    ],
)
def test_what_is_no_address_is_refused(word: str) -> None:
    with pytest.raises(ConfigError, match=r"^address: must be http://HOST:PORT of a dashboard, "):
        find(word)


def test_a_host_with_a_name_that_none_can_have_does_not_answer() -> None:
    with pytest.raises(ConfigError, match=r"^address: no Ray cluster answers at http://a{64}:8265 \("):
        check_answers(find(f"http://{'a' * 64}:8265"))


def test_what_the_user_named_is_what_another_shell_is_told(cluster: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find(None).named == ""
    assert find("local").named == "local"
    monkeypatch.setenv("RAY_ADDRESS", "http://head:8265/")
    assert find(None).named == "http://head:8265"


def test_a_stale_address_is_refused_with_its_origin(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    for text in (f"http://127.0.0.1:{port}", f"127.0.0.1:{port}"):
        monkeypatch.setenv("RAY_ADDRESS", text)
        with pytest.raises(ConfigError, match=rf"^address: no Ray cluster answers at {text} \(.*refused\)") as refused:
            check_answers(find(None))
        assert "RAY_ADDRESS names it: unset RAY_ADDRESS, or give --address local" in str(refused.value)
        with pytest.raises(ConfigError, match=r"--address names it: correct it, or give --address local"):
            check_answers(find(text))


def test_who_takes_connections_and_never_answers_is_refused_too(
    cluster: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The listener of `cluster` leaves that to the kernel."""
    monkeypatch.setattr(address, "ANSWER_SECONDS", 0.2)
    assert find(None).text == cluster
    with pytest.raises(ConfigError, match=r"^address: no Ray cluster answers at .* \(silent for 0\.2 s\)") as refused:
        check_answers(find(None))
    file = folder / "ray_current_cluster"
    assert f"{file} names it, left by `ray start`: give --address local" in str(refused.value)
    with pytest.raises(ConfigError, match=r"\(silent for 0\.2 s\); --address names it"):
        check_answers(find(f"http://{cluster}"))


@pytest.mark.parametrize("answer", [b"HTTP/1.0 401 Unauthorized\r\n\r\n", b""])
def test_whoever_answers_or_hangs_up_is_asked_by_ray(answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(answer)

        serving = threading.Thread(target=serve)
        serving.start()
        check_answers(find(f"http://127.0.0.1:{listener.getsockname()[1]}"))
        serving.join()
