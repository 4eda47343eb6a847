"""Checkpoints are trusted when they are what their manifest says, and only then."""

from __future__ import annotations

import datetime
import hashlib
import io
import json
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from leadline.checkpoint import CheckpointStore, DamagedCheckpoint
from leadline.config import ConfigError
from leadline.storage import Folder


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder.at(str(tmp_path / "trial"))


def publish(folder: Folder, attempt: int, *steps: int) -> list[str]:
    store = CheckpointStore(folder, attempt)
    return [store.publish(step, {"weight": torch.tensor([step, attempt])}, {"at": [step, attempt]}) for step in steps]


def test_what_was_published_comes_back(folder: Folder) -> None:
    state = {
        "model": {"w": torch.randn(3, 2)},
        "optimizers": [{"lr": 0.1, "betas": (0.9, 0.99)}],
        "count": 7,
        "none": None,
    }
    name = CheckpointStore(folder, 3).publish(400, state, {"config": {"layers": [1, 2]}})
    assert name == "attempt-03/step-000000400"
    found = CheckpointStore(folder).load(name)
    assert (found.name, found.step, found.record) == (name, 400, {"config": {"layers": [1, 2]}})
    assert torch.equal(found.state["model"].pop("w"), state["model"].pop("w"))  # type: ignore[attr-defined]
    assert found.state == state


def test_nothing_there_is_no_checkpoint(folder: Folder) -> None:
    store = CheckpointStore(folder)
    assert (store.newest(), store.names(), list(store.intact())) == (None, [], [])
    store.retain([])


def test_the_order_is_by_step_and_then_by_attempt_as_numbers(folder: Folder) -> None:
    for attempt, step in [(99, 20), (2, 10), (100, 20), (1, 30), (3, 10**9), (1, 999_999_999)]:
        publish(folder, attempt, step)
    order = [(c.record["at"][0], c.record["at"][1]) for c in CheckpointStore(folder).intact()]
    assert order == [(10**9, 3), (999_999_999, 1), (30, 1), (20, 100), (20, 99), (10, 2)]


def test_other_files_in_the_folder_are_not_checkpoints(folder: Folder) -> None:
    [name] = publish(folder, 1, 10)
    folder.write("notes/manifest.json", b"{}")
    folder.write("attempt-01/step-last/manifest.json", b"{}")
    folder.write("attempt-01/step-000000020/state.pt", b"published without a manifest")
    assert CheckpointStore(folder).names() == [name]


def truncate(place: Path, file: str) -> None:
    (place / file).write_bytes((place / file).read_bytes()[:-1])


def flip(place: Path, file: str) -> None:
    content = bytearray((place / file).read_bytes())
    content[len(content) // 2] ^= 1
    (place / file).write_bytes(content)


def empty(place: Path, file: str) -> None:
    (place / file).write_bytes(b"")


def remove(place: Path, file: str) -> None:
    (place / file).unlink()


@pytest.mark.parametrize("damage", [truncate, flip, empty, remove])
@pytest.mark.parametrize("file", ["state.pt", "record.json"])
def test_a_damaged_file_is_named_and_the_checkpoint_before_is_taken(
    folder: Folder, damage: Callable[[Path, str], None], file: str
) -> None:
    before, last = publish(folder, 1, 10, 20)
    damage(Path(folder.path) / last, file)
    with pytest.warns(UserWarning, match=rf"step-000000020/{file}"):
        found = CheckpointStore(folder, 2).newest()
    assert found is not None
    assert found.name == before
    with pytest.raises(DamagedCheckpoint, match=rf"step-000000020/{file}"):
        CheckpointStore(folder).load(last)


@pytest.mark.parametrize(
    "manifest",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"null",
        b"[]",
        b"{}",
        b'{"files": []}',
        b'{"files": 3}',
        b'{"files": {"state.pt": "big"}}',
        b'{"files": {}}',
    ],
)
def test_a_corrupt_manifest_is_named(folder: Folder, manifest: bytes) -> None:
    before, last = publish(folder, 1, 10, 20)
    (Path(folder.path) / last / "manifest.json").write_bytes(manifest)
    with pytest.warns(UserWarning, match=rf"{last}/(manifest\.json|state\.pt)"):
        found = CheckpointStore(folder).newest()
    assert found is not None
    assert found.name == before


def test_a_bit_flipped_anywhere_in_the_manifest_is_survived(folder: Folder) -> None:
    before, last = publish(folder, 1, 10, 20)
    path = Path(folder.path) / last / "manifest.json"
    content = path.read_bytes()
    names = []
    for place in range(len(content)):
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = CheckpointStore(folder).newest()
        assert found is not None
        names.append(found.name)
    assert names.count(before) > len(content) // 2, "sizes and checksums no longer match"


def test_without_its_manifest_a_checkpoint_does_not_exist(folder: Folder) -> None:
    before, last = publish(folder, 1, 10, 20)
    (Path(folder.path) / last / "manifest.json").unlink()
    assert CheckpointStore(folder).names() == [before]
    with pytest.raises(DamagedCheckpoint, match=r"manifest\.json"):
        CheckpointStore(folder).load(last)


@pytest.mark.parametrize("file", ["state.pt", "record.json", "manifest.json"])
def test_a_checkpoint_that_could_not_be_written_does_not_exist(folder: Folder, file: str) -> None:
    """A folder in the way of a file refuses it; whatever came before the manifest is not seen."""
    [before] = publish(folder, 1, 10)
    folder.write(f"attempt-01/step-000000020/{file}/in-the-way", b"")
    with pytest.raises(OSError, match=file):
        publish(folder, 1, 20)
    assert CheckpointStore(folder).names() == [before]


def test_all_damaged_is_none(folder: Folder) -> None:
    for name in publish(folder, 1, 10, 20):
        truncate(Path(folder.path) / name, "state.pt")
    with pytest.warns(UserWarning, match="going back one") as told:
        assert CheckpointStore(folder).newest() is None
    assert len(told) == 2


class Malicious:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("legacy", [False, True])
def test_a_malicious_pickle_is_refused_and_not_executed(folder: Folder, tmp_path: Path, legacy: bool) -> None:
    before, last = publish(folder, 1, 10, 20)
    buffer = io.BytesIO()
    torch.save({"model": Malicious(tmp_path / "pwned")}, buffer, _use_new_zipfile_serialization=not legacy)
    _replace(Path(folder.path) / last, buffer.getvalue())
    with pytest.warns(UserWarning, match=r"step-000000020/state\.pt"):
        found = CheckpointStore(folder).newest()
    assert found is not None
    assert found.name == before
    assert not (tmp_path / "pwned").exists()
    torch.load(io.BytesIO(buffer.getvalue()), weights_only=False)
    assert (tmp_path / "pwned").exists(), "this pickle does harm where it is trusted"


@pytest.mark.parametrize(
    "content", [b"", b"x", b"PK\x03\x04" + bytes(40), b"\x80\x02}q\x00.", b"\x80\x02]q\x00X\xff\xff\xff\x7f."]
)
def test_a_state_that_is_no_checkpoint_is_refused_under_a_manifest_that_fits(folder: Folder, content: bytes) -> None:
    before, last = publish(folder, 1, 10, 20)
    _replace(Path(folder.path) / last, content)
    with pytest.warns(UserWarning, match=r"step-000000020/state\.pt"):
        found = CheckpointStore(folder).newest()
    assert found is not None
    assert found.name == before


def _replace(place: Path, state: bytes) -> None:
    """Another state under a manifest that verifies."""
    record = (place / "record.json").read_bytes()
    (place / "state.pt").write_bytes(state)
    files = {"state.pt": state, "record.json": record}
    manifest = {
        name: {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()} for name, content in files.items()
    }
    (place / "manifest.json").write_text(json.dumps({"files": manifest}))


def test_only_the_own_attempt_is_tidied_and_only_what_is_not_named(folder: Folder) -> None:
    first = publish(folder, 1, 10, 20, 30)
    second = publish(folder, 2, 30, 40, 50)
    CheckpointStore(folder, 2).retain([first[0], second[1]])
    assert set(CheckpointStore(folder).names()) == {*first, second[1]}
    assert sorted(path.name for path in (Path(folder.path) / "attempt-02").iterdir()) == ["step-000000040"]
    CheckpointStore(folder, 1).retain([])
    assert CheckpointStore(folder).names() == [second[1]]


@pytest.mark.parametrize(
    ("pool", "words"),
    [
        (datetime.date(2020, 1, 1), "state_dict: task.pool: a date cannot be read back; give numbers, text, lists"),
        (np.float64(0.5), "state_dict: task.pool: a float64 cannot be read back"),
        (np.zeros(3), "state_dict: task.pool: a ndarray cannot be read back"),
        ([1, {"deep": Path("/")}], "state_dict: task.pool.1.deep: a PosixPath cannot be read back"),
        (threading.Lock(), "state_dict: task.pool: a lock cannot be read back"),
    ],
)
def test_what_could_not_be_read_back_is_not_written(folder: Folder, pool: Any, words: str) -> None:
    with pytest.raises(ConfigError) as refused:
        CheckpointStore(folder, 1).publish(10, {"model": {"w": torch.zeros(2)}, "task": {"pool": pool}}, {})
    assert str(refused.value).startswith(words)
    assert folder.sizes(recursive=True) == {}


def test_a_type_that_comes_later_is_checked_too(folder: Folder) -> None:
    store = CheckpointStore(folder, 1)
    store.publish(10, {"task": {"pool": [1]}}, {})
    with pytest.raises(ConfigError, match=r"^state_dict: task\.pool\.1: a date cannot be read back"):
        store.publish(20, {"task": {"pool": [1, datetime.date(2020, 1, 1)]}}, {})
    assert store.publish(20, {"task": {"pool": [2, 3]}}, {}) == "attempt-01/step-000000020"


def test_a_number_that_is_none_is_not_written_into_the_record(folder: Folder) -> None:
    with pytest.raises(ValueError, match="JSON"):
        CheckpointStore(folder, 1).publish(10, {}, {"history": [{"facts": {"loss": float("nan")}}]})
    assert folder.sizes(recursive=True) == {}
