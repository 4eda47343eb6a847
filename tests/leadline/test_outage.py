"""Stores that fail in the middle: what was reported is there, what could not be stored is said, and nothing hangs."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch

from leadline.checkpoint import CheckpointStore
from leadline.storage import Folder, StorageError, patiently
from tests.conftest import ROOT, S3Server, remount

PATIENCE = 2.0
"""Seconds within which a busy machine, too, gets an answer from a store that refuses."""
LARGE = 30_000_000
"""Bytes of a state that is uploaded in several parts."""


class Listener:
    """Counts the seconds of waiting, remembers what is said, and may do something about it."""

    def __init__(
        self, at_second: dict[int, Callable[[], None]] | None = None, at_word: Callable[[], None] = lambda: None
    ) -> None:
        self.seconds, self.lines, self.at_second, self.at_word = 0, list[str](), at_second or {}, at_word

    def alive(self) -> None:
        self.seconds += 1
        self.at_second.get(self.seconds, lambda: None)()

    def say(self, text: str) -> None:
        self.lines.append(text)
        if len(self.lines) == 1:
            self.at_word()


def state(size: int = 1000, fill: int = 7) -> dict[str, Any]:
    return {"w": torch.full((size,), fill, dtype=torch.uint8)}


def is_whole(folder: Folder, name: str, size: int = 1000) -> bool:
    """Whether it is there for somebody else, and the newest."""
    found = CheckpointStore(Folder.at(folder.uri), 2, patience=5).newest()
    return found is not None and found.name == name and torch.equal(found.state["w"], state(size)["w"])


def halfway(patch: pytest.MonkeyPatch, part_is_there: Callable[[], bool], action: Callable[[], None]) -> None:
    """Does something in the middle of the next upload: the first part is in, and the rest is not sent."""

    def write(self: Folder, name: str, content: bytes) -> None:
        patch.undo()
        with self.files.open_output_stream(f"{self.path}/{name}") as stream:
            stream.write(content[: len(content) // 2])
            while not part_is_there():
                time.sleep(0.01)
            action()
            stream.write(content[len(content) // 2 :])

    patch.setattr(Folder, "write", write)


def test_a_server_killed_in_the_middle_of_an_upload_gets_all_again(
    s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it had is lost with it."""
    folder = s3_server.at("trial")
    CheckpointStore(folder).publish(10, state(), {})
    halfway(monkeypatch, lambda: any("partNumber=" in request for request in s3_server.requests("PUT")), s3_server.kill)
    listener = Listener(at_word=s3_server.start)
    store = CheckpointStore(folder, patience=60, say=listener.say)
    name = store.publish(20, state(LARGE), {})
    assert is_whole(folder, name, LARGE)
    assert store.names() == [name], "the server began anew"
    assert len(listener.lines) == 2
    assert "s3://bucket/trial/attempt-01/step-000000020: refused or not answered, tried again for" in listener.lines[0]
    assert listener.lines[1].startswith("s3://bucket/trial/attempt-01/step-000000020: done after")


def test_what_the_server_loses_between_two_files_is_noticed(
    s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The manifest would name a file that is no longer there."""
    folder, write = s3_server.at("trial"), Folder.write

    def lose(self: Folder, name: str, content: bytes) -> None:
        if name == "manifest.json":
            monkeypatch.undo()
            s3_server.kill()
            s3_server.start()
        write(self, name, content)

    monkeypatch.setattr(Folder, "write", lose)
    listener = Listener()
    name = CheckpointStore(folder, patience=60, say=listener.say).publish(20, state(), {})
    assert is_whole(folder, name)
    assert "lost by the storage" in listener.lines[0]


@pytest.mark.parametrize("size", [1000, LARGE])
def test_a_server_frozen_for_a_while_is_waited_for(s3_server: S3Server, size: int) -> None:
    folder = s3_server.at("trial")
    s3_server.freeze()
    listener = Listener({2: s3_server.thaw})
    name = CheckpointStore(folder, patience=60, alive=listener.alive).publish(20, state(size), {})
    assert listener.seconds >= 2
    assert is_whole(folder, name, size)


def test_a_store_that_is_down_is_not_taken_for_damage(s3_server: S3Server) -> None:
    folder = s3_server.at("trial")
    names = [CheckpointStore(folder).publish(step, state(), {}) for step in (10, 20)]
    listener = Listener({2: s3_server.thaw})
    s3_server.freeze()
    store = CheckpointStore(folder, 2, patience=60, alive=listener.alive)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = store.newest()
        assert found is not None
        assert (found.name, listener.seconds >= 2) == (names[1], True)
        s3_server.kill()
        refused = CheckpointStore(folder, patience=1)
        for read in (refused.names, refused.newest, lambda: refused.load(names[1])):
            with pytest.raises(StorageError, match=r"^s3://bucket/trial.*: given up after \d+ s: ") as caught:
                read()
            assert "endpoint_override" not in str(caught.value)


FROZEN = """
import sys
from leadline import storage
from leadline.storage import Folder, StorageError, patiently
storage.EXIT_SECONDS = 0.5
folder = Folder.at(sys.argv[1])
folder.write("before", b"x")
print("ready", flush=True)
sys.stdin.readline()
try:
    patiently(lambda: folder.write("state.pt", bytes(int(sys.argv[2]))), folder, seconds=1)
except StorageError as error:
    print("error:", error)
"""


def test_a_process_does_not_hang_on_a_server_that_is_frozen_for_good(s3_server: S3Server) -> None:
    """Nor at its end, when pyarrow would wait for its requests."""
    arguments = [sys.executable, "-c", FROZEN, s3_server.at("trial").uri, str(4 * LARGE)]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        s3_server.freeze()
        try:
            out, _ = process.communicate("\n", timeout=60)
        finally:
            process.kill()
    assert out.startswith("error: s3://bucket/trial: given up after ")
    assert "no answer for" in out


@pytest.mark.parametrize(
    ("size", "harm", "words", "remedy"),
    [(50_000, "rw", "No space left", "size=1m"), (1000, "ro", "Read-only file system", "rw")],
)
def test_a_full_or_read_only_disk(disk: Path, size: int, harm: str, words: str, remedy: str) -> None:
    folder = Folder.at(str(disk / "trial"))
    before = CheckpointStore(folder).publish(10, state(size), {})
    remount(disk, harm)()
    with pytest.raises(StorageError, match=rf"^{folder}/attempt-01/step-000000020: given up after \d+ s: .*{words}"):
        CheckpointStore(folder, patience=PATIENCE).publish(20, state(size), {})
    assert is_whole(folder, before, size)
    listener = Listener(at_word=remount(disk, remedy))
    after = CheckpointStore(folder, 2, patience=60, say=listener.say).publish(20, state(size), {})
    assert words in listener.lines[0]
    assert is_whole(folder, after, size)
    assert not [name for name in folder.sizes(recursive=True, hidden=True) if "/." in name], (
        "what did not fit was removed"
    )


def test_tidying_a_read_only_disk_is_refused_and_removes_nothing(disk: Path) -> None:
    folder = Folder.at(str(disk / "trial"))
    names = [CheckpointStore(folder).publish(step, state(), {}) for step in (10, 20)]
    remount(disk, "ro")()
    with pytest.raises(StorageError, match="Read-only file system"):
        CheckpointStore(folder, patience=PATIENCE).retain(names[1:])
    assert CheckpointStore(folder).names() == names[::-1]
    listener = Listener(at_word=remount(disk, "rw"))
    CheckpointStore(folder, patience=60, say=listener.say).retain(names[1:])
    assert CheckpointStore(folder).names() == names[1:]


def test_the_first_try_that_succeeds_counts_and_answers_come_at_once() -> None:
    """Also where a later try was made meanwhile, and where the store's answer is an error."""
    go_on, tries = threading.Event(), list[int]()

    def action() -> str:
        tries.append(len(tries))
        if len(tries) == 1:
            go_on.wait()
            return "first"
        go_on.set()
        threading.Event().wait()
        return "second"

    assert patiently(action, "it", seconds=60, try_seconds=0.1) == "first"
    assert len(tries) >= 2
    for error in (FileNotFoundError, FileExistsError, IsADirectoryError, NotADirectoryError, ValueError):
        tries.clear()
        with pytest.raises(error, match="what it said"):
            patiently(partial(_raise, tries, error("what it said")), "it", seconds=60)
        assert tries == [1]


def _raise(tries: list[int], error: Exception) -> None:
    tries.append(1)
    raise error


def test_refusals_are_tried_again_until_the_deadline() -> None:
    tries, listener = list[int](), Listener()
    with pytest.raises(StorageError, match=r"^it: given up after \d+ s: no, no, no$") as caught:
        patiently(lambda: _raise(tries, OSError("no, no, no")), "it", seconds=PATIENCE, say=listener.say)
    assert len(tries) >= 2
    assert str(caught.value.__cause__) == "no, no, no"
    assert listener.lines == ["it: refused or not answered, tried again for 2 s: no, no, no"]


def test_small_files_are_one_request_and_reading_them_is_two(s3_server: S3Server) -> None:
    folder = s3_server.at("place")
    folder.write("a", b"x" * 10_000)
    folder.read("a")
    found = [request for request in s3_server.requests() if "/place/a" in request]
    assert found == ["PUT /bucket/place/a", "HEAD /bucket/place/a", "GET /bucket/place/a"]


class WithoutTrailers(BaseHTTPRequestHandler):
    """A store that wants to know the length of a file before it comes, as most do."""

    seen: ClassVar[set[str]] = set()
    """Names of the headers that came."""

    def do_PUT(self) -> None:
        self.seen.update(name.lower() for name in self.headers)
        length = self.headers["Content-Length"]
        self.rfile.read(int(length or 0))
        self.close_connection = True
        self.send_response(200 if length else 411)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.mark.parametrize(
    ("given", "trailing"), [({}, False), ({"AWS_REQUEST_CHECKSUM_CALCULATION": "when_supported"}, True)]
)
def test_no_trailing_checksums_from_a_process_with_a_clean_environment(given: dict[str, str], trailing: bool) -> None:
    """Most S3 servers other than Amazon's refuse them, or store them inside the file; who asks for them gets them."""
    WithoutTrailers.seen.clear()
    clean = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_EC2_METADATA_DISABLED": "true", **given}
    code = "import sys; from leadline.storage import Folder; Folder.at(sys.argv[1]).write('a', b'x')"
    with ThreadingHTTPServer(("127.0.0.1", 0), WithoutTrailers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        uri = f"s3://bucket/x?scheme=http&endpoint_override=127.0.0.1:{server.server_port}&region=us-east-1"
        done = subprocess.run(
            [sys.executable, "-c", code, uri], cwd=ROOT, env=clean, capture_output=True, text=True, timeout=60
        )
        server.shutdown()
    assert ("x-amz-trailer" in WithoutTrailers.seen) is trailing
    assert bool(done.returncode) is trailing, done.stderr
