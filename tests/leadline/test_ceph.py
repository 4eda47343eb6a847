"""Checkpoints on Ceph's S3 gateway: a server that checks credentials and checksums, and keeps what
it has when the gateway dies.
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Callable, Iterator

import pytest

from leadline.analysis.upkeep import multipart
from leadline.checkpoint import CheckpointStore
from leadline.storage import Folder, StorageError
from tests.ceph import KEY, SECRET, Ceph
from tests.leadline.test_outage import LARGE, Listener, halfway, is_whole, state

pytestmark = pytest.mark.ceph


@pytest.fixture(scope="module")
def ceph() -> Iterator[Ceph]:
    if not shutil.which("radosgw"):
        pytest.skip("radosgw is not installed; `make test-ceph` installs it")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", KEY)
        patch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
        server = Ceph()
        try:
            server.at("").files.create_dir("bucket")
            yield server
        finally:
            server.end()


@pytest.fixture
def folder(ceph: Ceph) -> Folder:
    return ceph.at(uuid.uuid4().hex)


def a_part_is_there(folder: Folder) -> Callable[[], bool]:
    """Of an upload that has not ended."""
    return lambda: any(upload.size for upload in multipart.unfinished(folder))


@pytest.mark.parametrize("size", [1000, LARGE])
def test_what_was_published_comes_back(folder: Folder, size: int) -> None:
    store = CheckpointStore(folder)
    names = [store.publish(step, state(size), {}) for step in (10, 20, 30)]
    assert is_whole(folder, names[2], size)
    store.retain(names[1:])
    assert store.names() == names[:0:-1]
    assert not (folder / names[0]).exists()
    assert multipart.unfinished(folder) == []


def test_a_gateway_killed_in_the_middle_of_an_upload(
    ceph: Ceph, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was there before stays; what was begun is written again; what is left of the first try
    is seen and removed.
    """
    before = CheckpointStore(folder).publish(10, state(), {})
    halfway(monkeypatch, a_part_is_there(folder), ceph.kill)
    listener = Listener(at_word=ceph.start)
    store = CheckpointStore(folder, patience=60, say=listener.say)
    name = store.publish(20, state(4 * LARGE), {})
    assert is_whole(folder, name, 4 * LARGE)
    assert store.names() == [name, before]
    assert len(listener.lines) == 2
    left = multipart.unfinished(folder)
    assert [upload.path for upload in left] == [f"{name}/state.pt"]
    for upload in left:
        multipart.abort(folder, upload.path, upload.id)
    assert multipart.unfinished(folder) == []
    assert is_whole(folder, name, 4 * LARGE)


def test_a_gateway_frozen_for_a_while_is_waited_for(ceph: Ceph, folder: Folder) -> None:
    ceph.freeze()
    listener = Listener({3: ceph.thaw})
    name = CheckpointStore(folder, patience=60, alive=listener.alive).publish(20, state(4 * LARGE), {})
    assert listener.seconds >= 3
    assert is_whole(folder, name, 4 * LARGE)


def test_a_gateway_that_stays_frozen_or_down_is_no_damage(ceph: Ceph, folder: Folder) -> None:
    names = [CheckpointStore(folder).publish(step, state(), {}) for step in (10, 20)]
    impatient = CheckpointStore(folder, patience=1)
    ceph.freeze()
    with pytest.raises(StorageError, match="given up after"):
        impatient.publish(30, state(), {})
    ceph.kill()
    with pytest.raises(StorageError, match="given up after"):
        impatient.newest()
    ceph.start()
    assert is_whole(folder, names[1]) or is_whole(folder, "attempt-01/step-000000030"), (
        "a try that was given up may end well"
    )


def test_a_wrong_key_is_refused(ceph: Ceph, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another")
    with pytest.raises(StorageError, match="given up after") as caught:
        CheckpointStore(ceph.at("refused"), patience=1).publish(10, state(), {})
    assert "another" not in str(caught.value)
    assert KEY not in str(caught.value)
