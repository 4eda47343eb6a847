"""Folders on a local disk and on an S3 server, to which one set of tests applies."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from pyarrow import fs

from leadline import storage
from leadline.analysis.sweep import place
from leadline.checkpoint import CheckpointStore
from leadline.config import ConfigError
from leadline.storage import Folder
from tests.conftest import ROOT, command


@pytest.fixture(params=["local", "s3"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Folder:
    """A folder that does not exist yet."""
    if request.param == "local":
        return Folder.at(str(tmp_path / "place"))
    return Folder.at(f"s3://bucket/{uuid.uuid4().hex}?{request.getfixturevalue('s3_options')}")


def test_nothing_is_there_until_something_is_written(folder: Folder) -> None:
    assert not folder.exists()
    assert folder.sizes() == folder.sizes(recursive=True) == {}
    assert folder.folders() == []
    folder.delete()
    with pytest.raises(FileNotFoundError):
        folder.read("a")


def test_a_tilde_is_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Folder.at("~/x").path == str(tmp_path / "x")
    assert Folder.at("here/~").path == str(Path.cwd() / "here" / "~")
    assert place("~/x/../y/").path == str(tmp_path / "y")
    with pytest.raises(ConfigError, match=r"^storage: there is no home folder for ~nobody-of-this-name/x"):
        Folder.at("~nobody-of-this-name/x")


def test_files_are_found_by_name_and_size(folder: Folder) -> None:
    folder.write("a", b"123")
    folder.write("deep/er/b", b"")
    (folder / "deep").write("c", b"12")
    assert folder.sizes() == {"a": 3}
    assert folder.sizes(recursive=True) == {"a": 3, "deep/er/b": 0, "deep/c": 2}
    assert (folder / "deep").sizes(recursive=True) == {"er/b": 0, "c": 2}
    assert folder.folders() == ["deep"]
    assert [folder.exists(name) for name in ("", "a", "deep", "deep/c", "b", "dee")] == [
        True,
        True,
        True,
        True,
        False,
        False,
    ]
    assert (folder.read("a"), (folder / "deep/er").read("b")) == (b"123", b"")


def test_a_file_is_replaced_unless_it_must_be_new(folder: Folder) -> None:
    folder.write("a", b"one", exclusive=True)
    with pytest.raises(FileExistsError):
        folder.write("a", b"two", exclusive=True)
    assert folder.read("a") == b"one"
    folder.write("a", b"three")
    assert folder.read("a") == b"three"
    assert folder.sizes() == {"a": 5}


def test_a_folder_knows_its_name_and_the_one_above(folder: Folder) -> None:
    (folder / "one/two").write("a", b"x")
    assert ((folder / "one/two").above, (folder / "one/two").name) == (folder / "one", "two")
    assert (folder / "one/two").above.above == folder
    assert Folder.at("s3://bucket/one/two/?region=us-east-1").above.uri == "s3://bucket/one?region=us-east-1"


def test_deleting_takes_what_is_below_and_nothing_else(folder: Folder) -> None:
    for name in ("one/a", "one/deep/b", "two/a", "one-more"):
        folder.write(name, b"x")
    (folder / "one").delete()
    assert folder.sizes(recursive=True) == {"two/a": 1, "one-more": 1}
    assert not (folder / "one/deep").exists()
    (folder / "one").delete()
    (folder / "missing").delete()


def test_the_uri_opens_the_same_folder_elsewhere(folder: Folder) -> None:
    (folder / "deep").write("a", b"x")
    assert Folder.at((folder / "deep").uri).read("a") == b"x"
    assert "?" not in str(folder / "deep")
    assert str(folder / "deep").endswith("/deep")


def test_a_sub_folder_keeps_the_options_and_does_not_show_them(s3_options: str) -> None:
    folder = Folder.at(f"s3://bucket/x/?{s3_options}")
    assert (folder / "y/z").uri == f"s3://bucket/x/y/z?{s3_options}"
    assert (str(folder / "y"), (folder / "y").path) == ("s3://bucket/x/y", "bucket/x/y")
    assert not folder.local


def test_checkpoints_are_kept_on_any_storage(folder: Folder) -> None:
    store = CheckpointStore(folder / "trial")
    names = [store.publish(step, {"weights": torch.full((3,), float(step))}, {"step": step}) for step in (10, 20, 30)]
    assert store.names() == names[::-1]
    store.retain([names[0], names[2]])
    assert store.names() == [names[2], names[0]]
    (folder / "trial" / names[2]).write("state.pt", b"something else")
    with pytest.warns(UserWarning, match=r"step-000000030/state\.pt"):
        found = CheckpointStore(Folder.at((folder / "trial").uri), 2).newest()
    assert found is not None
    assert (found.name, found.record) == (names[0], {"step": 10})
    assert torch.equal(found.state["weights"], torch.full((3,), 10.0))


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("s3://key:hidden@bucket/x", "credentials belong in the environment"),
        ("s3://hidden@bucket/x", "credentials belong in the environment"),
        ("abfs://c@a.dfs.core.windows.net/x?client_secret=hidden", "credentials belong in the environment"),
        ("s3://bucket/x?secret_key=hidden", "secret_key: credentials belong in the environment"),
        ("s3://bucket/x?colour=hidden", "cannot use s3://bucket/x: .*colour"),
        ("s3://bucket/x[1]?colour=hidden", r"cannot use s3://bucket/x\[1\]: .*colour"),
        ("s3://[bucket/x?endpoint_override=hidden", r"cannot use s3://\[bucket/x: "),
        ("s3://buc ket/x?colour=hidden#more", "cannot use s3://buc ket/x: Cannot parse"),
        ("nowhere://bucket/x", "cannot use nowhere://bucket/x"),
        ("s3:/foo", "s3:/foo has one slash; write s3://foo$"),
        ("gs:/foo/deep", "gs:/foo/deep has one slash; write gs://foo/deep$"),
        ("file:/tmp/x", "file:/tmp/x has one slash; write file:///tmp/x$"),
        ("s3:/key:hidden@bucket/x?secret_key=hidden", "s3:/bucket/x has one slash; write s3://bucket/x$"),
    ],
)
def test_a_uri_that_cannot_be_used_is_refused_without_its_secrets(uri: str, message: str) -> None:
    with pytest.raises(ConfigError, match=f"^storage: {message}") as caught:
        Folder.at(uri)
    assert "hidden" not in str(caught.value)


def test_a_bucket_is_connected_once(s3_options: str, monkeypatch: pytest.MonkeyPatch) -> None:
    connect, connected = fs.FileSystem.from_uri, list[str]()

    def counted(uri: str) -> Any:
        connected.append(uri)
        return connect(uri)

    monkeypatch.setattr(storage, "_CONNECTED", {})
    monkeypatch.setattr(storage, "fs", SimpleNamespace(**{**vars(fs), "FileSystem": SimpleNamespace(from_uri=counted)}))
    folder = Folder.at(f"s3://bucket/{uuid.uuid4().hex}/a%20b/?{s3_options}")
    folder.write("x", b"1")
    assert Folder.at(folder.uri).read("x") == (folder / "deep").files.open_input_file(f"{folder.path}/x").read()
    assert folder.path.endswith("/a b")
    assert len(connected) == 1
    storage.reconnect_where_refused(OSError("HTTP status 503"))
    assert folder.exists("x")
    assert len(connected) == 1
    storage.reconnect_where_refused(OSError("AWS Error ACCESS_DENIED"))
    assert folder.exists("x")
    assert len(connected) == 2


FILE = "[default]\nregion = eu-west-1\n[work]\naws_access_key_id = id\naws_secret_access_key = hidden\n"


@pytest.mark.parametrize(
    ("content", "variables", "asked"),
    [
        (None, {}, True),
        (None, {"AWS_ACCESS_KEY_ID": "id"}, True),
        (None, {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "hidden"}, False),
        (FILE, {}, True),
        (FILE, {"AWS_PROFILE": "work"}, False),
        (FILE, {"AWS_DEFAULT_PROFILE": "default", "AWS_PROFILE": "work"}, True),
        ("no file of keys", {"AWS_PROFILE": "work"}, True),
        (FILE, {"AWS_PROFILE": "work", "AWS_EC2_METADATA_DISABLED": "false"}, True),
    ],
)
def test_who_has_keys_is_not_kept_waiting_for_amazons_metadata_service(
    content: str | None, variables: dict[str, str], asked: bool, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / ".aws").mkdir()
        (tmp_path / ".aws/credentials").write_text(content)
    said = """
import os
from leadline.storage import Folder
Folder.at("s3://bucket/x?endpoint_override=127.0.0.1:9&region=us-east-1")
print(os.environ.get("AWS_EC2_METADATA_DISABLED", "false"))
"""
    environment = {"HOME": str(tmp_path), "PATH": os.environ["PATH"], **variables}
    out = subprocess.run(
        [sys.executable, "-c", said], cwd=ROOT, env=environment, check=True, capture_output=True, text=True
    ).stdout
    assert out.strip() == ("false" if asked else "true")


def test_a_relative_path_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = Folder.at("results/one")
    monkeypatch.chdir("/")
    folder.write("a", b"x")
    assert (tmp_path / "results/one/a").read_bytes() == b"x"
    assert folder.uri == str(tmp_path / "results/one")


def test_a_local_path_may_hold_a_question_mark(tmp_path: Path) -> None:
    folder = Folder.at(str(tmp_path / "why?")) / "deep"
    folder.write("a", b"x")
    assert Folder.at(folder.uri).read("a") == b"x"
    assert str(folder) == str(tmp_path / "why?" / "deep")


def test_a_folder_that_is_called_like_a_scheme_can_still_be_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Folder.at("./s3:/foo").write("a", b"x")
    assert Folder.at("s3:")
    assert Folder.at("run 3:/1").path == str(tmp_path / "run 3:/1")
    assert (tmp_path / "s3:" / "foo" / "a").read_bytes() == b"x"


WRITERS = """
import itertools, os, signal, sys
from leadline.storage import Folder

def killed(call, folder):
    child = os.fork()
    if child == 0:
        count = 0

        def called(frame, event, function):  # of a call, Python's or C's
            nonlocal count
            count += event.endswith("call")
            if count == call:
                os.kill(os.getpid(), signal.SIGKILL)

        sys.setprofile(called)
        folder.write("a", b"new")
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    assert status in (0, signal.SIGKILL)
    return status != 0

for call in itertools.count(1):
    new, old = (Folder.at(f"{sys.argv[1]}/{kind}-{call}") for kind in ("new", "old"))
    old.write("a", b"before")
    if not any([killed(call, new), killed(call, old)]):
        break
print(call)
"""
"""Writes `new` to the file `a` of many folders: call by call, a process that is killed at that call of the write."""


def test_a_writer_killed_at_any_call_leaves_the_whole_file_or_none(tmp_path: Path) -> None:
    """The writers are forked from a small process, as a fork takes time with the memory that it copies."""
    calls = int(command("-c", WRITERS, str(tmp_path)).stdout)
    fresh, replaced = set(), set()
    for call in range(1, calls + 1):
        new, old = Folder.at(str(tmp_path / f"new-{call}")), Folder.at(str(tmp_path / f"old-{call}"))
        fresh.add(tuple(new.sizes().items()))
        replaced.add((tuple(old.sizes().items()), old.read("a")))
    assert fresh == {(), (("a", 3),)}
    assert replaced == {((("a", 6),), b"before"), ((("a", 3),), b"new")}
