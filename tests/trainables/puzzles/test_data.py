"""The splits, their cache on disk, the order in which a trial sees them, and predictors without a parameter."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from leadline.config import ConfigError, make
from trainables.puzzles import cache, data
from trainables.puzzles.data import VERSION, PuzzleData, Sampler, build
from trainables.puzzles.maze import PATH
from trainables.puzzles.puzzle import Boards
from trainables.puzzles.sudoku import Sudoku
from trainables.puzzles.sudoku_solver import BLANK, solve
from trainables.recursive.baselines import baselines, score
from trainables.recursive.config import HRMConfig, TRMConfig

SMALL: dict[str, Any] = {"train_boards": 40, "validation_boards": 12, "test_boards": 9, "batch": 16}
KINDS: dict[str, dict[str, Any]] = {
    "sudoku4": {"size": 4},
    "sudoku4 of six clues": {"size": 4, "clues": 6},
    "sudoku6": {"size": 6},
    "sudoku6 of sixteen clues": {"size": 6, "clues": 16},
    "maze": {"task": "maze", "size": 11},
}


def _config(**values: Any) -> TRMConfig:
    return make(TRMConfig, {**SMALL, **values})


@pytest.fixture(autouse=True)
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LEADLINE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def _same(one: PuzzleData, other: PuzzleData) -> bool:
    pairs = [(getattr(one, split), getattr(other, split)) for split in ("train", "validation", "test")]
    return all(
        np.array_equal(getattr(a, name), getattr(b, name))
        for a, b in pairs
        for name in ("inputs", "labels", "classes", "guesses")
    )


@pytest.mark.parametrize("kind", KINDS)
def test_splits_are_disjoint_up_to_symmetry(kind: str) -> None:
    config = _config(**KINDS[kind])
    found = build(config)
    assert [len(found.scored(split)) for split in ("train", "validation", "test")] == [40, 12, 9]
    boards = [found.train, found.validation, found.test]
    every = np.concatenate([config.puzzle.names(own.inputs) for own in boards])
    np.testing.assert_array_equal(np.concatenate([own.classes for own in boards]), every)
    assert len(np.unique(every)) == 61
    for own in boards:
        assert own.inputs.dtype == own.labels.dtype == np.uint8
        assert own.guesses.dtype == np.int32
        assert own.inputs.shape == own.labels.shape == (len(own), config.tokens)
        assert own.labels.min() > 0
        assert own.labels.max() < config.vocabulary
        assert not own.inputs.flags.writeable


@pytest.mark.parametrize("clues", [6, 9])
def test_clues_are_those_asked_for(clues: int) -> None:
    assert ((build(_config(size=4, clues=clues)).train.inputs != BLANK).sum(axis=1) == clues).all()


def test_side_four_has_puzzles_of_many_clues_in_random_looks() -> None:
    train = build(_config(size=4, train_boards=400)).train
    assert set((train.inputs != BLANK).sum(axis=1).tolist()) >= set(range(5, 13))
    assert len(np.unique(train.labels, axis=0)) > 150


def test_guesses_are_the_solver_s() -> None:
    train = build(_config(size=8, train_boards=20)).train
    assert train.guesses.tolist() == [solve(board, 8).guesses for board in train.inputs]
    assert train.guesses.max() > 0


def test_nothing_else_changes_the_data(monkeypatch: pytest.MonkeyPatch) -> None:
    config = _config(size=6)
    others: list[Any] = [replace(config, seed=7, hidden=32, batch=8, augment=False), HRMConfig(size=6, **SMALL)]
    first = build(config)
    monkeypatch.setattr(cache, "load", lambda question: None)
    for other in others:
        assert other.data_key == config.data_key == "sudoku6-boards40-12-9-seed0"
        assert _same(build(other), first)


@pytest.mark.parametrize(
    "change", [{"data_seed": 1}, {"clues": 16}, {"size": 4}, {"train_boards": 41}, {"task": "maze", "size": 9}]
)
def test_these_do(change: dict[str, Any]) -> None:
    config, other = _config(size=6), _config(**{"size": 6, **change})
    assert config.data_key != other.data_key
    assert not _same(build(config), build(other))


@pytest.mark.parametrize("kind", ["sudoku6", "maze"])
def test_more_training_boards_leave_the_scored_ones_alone(kind: str) -> None:
    few, more = (build(_config(**KINDS[kind], train_boards=boards)) for boards in (30, 40))
    np.testing.assert_array_equal(few.test.inputs, more.test.inputs)
    np.testing.assert_array_equal(few.validation.inputs, more.validation.inputs)
    np.testing.assert_array_equal(few.train.inputs, more.train.inputs[:30])


def test_more_boards_than_there_are_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^train_boards: .* at most the 4708 sudokus of side 4"):
        _config(size=4, train_boards=4708)
    assert len(np.unique(build(_config(size=4, train_boards=4708 - 21)).train.classes)) == 4687
    with pytest.raises(ConfigError, match=r"^train_boards: with .* 61, but 2000 draws brought none beside the 1 found"):
        build(_config(task="maze", size=5))


def test_a_split_that_does_not_exist() -> None:
    with pytest.raises(ValueError, match=r"^split: no 'dev'"):
        build(_config()).scored("dev")


def test_boards_are_drawn_once(shelf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = build(_config(size=6))
    assert len(list(shelf.iterdir())) == 1
    monkeypatch.setattr(data, "_arrays", lambda config: pytest.fail("drawn again"))
    assert _same(build(_config(size=6, lr=1e-2)), first)


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _other_boards(path: Path) -> None:
    with np.load(path, allow_pickle=False) as stored:
        arrays = dict(stored)
    arrays["test/inputs"] = arrays["test/inputs"][::-1]
    np.savez_compressed(path, allow_pickle=False, **arrays)


def _pickled(path: Path) -> None:
    np.savez_compressed(path, inputs=np.array([{"a": 1}], dtype=object), digest=np.array("0"))


DAMAGE: dict[str, Callable[[Path], object]] = {
    "a bit": _flip,
    "half": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "all": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_text("boards"),
    "other boards": _other_boards,
    "an object": _pickled,
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_is_made_anew(damage: str, shelf: Path) -> None:
    first = build(_config(size=6))
    (path,) = shelf.iterdir()
    content = path.read_bytes()
    DAMAGE[damage](path)
    assert path.read_bytes() != content
    assert _same(build(_config(size=6)), first)
    assert list(shelf.iterdir()) == [path]
    assert cache.load(f"boards, version {VERSION}: {_config(size=6).data_key}") is not None


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = build(_config())
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LEADLINE_CACHE", str(tmp_path / "file" / "below"))
    assert _same(build(_config()), first)
    monkeypatch.delenv("LEADLINE_CACHE")
    monkeypatch.setattr(cache, "folder", lambda: (_ for _ in ()).throw(RuntimeError("no home folder")))
    assert _same(build(_config()), first)


def test_an_interrupted_write_leaves_nothing(shelf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainables.puzzles.cache.os.replace", lambda *names: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        build(_config())
    assert list(shelf.iterdir()) == []


def test_the_cache_s_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("LEADLINE_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache.folder() == tmp_path / ".cache" / "leadline"


@pytest.mark.parametrize("augment", [True, False])
def test_rows_depend_on_seed_and_step_alone(augment: bool) -> None:
    config = _config(size=6, augment=augment)
    train = build(config).train
    one, other = Sampler(config, train, config.batch), Sampler(config, train, config.batch)
    forwards = [one.rows(step) for step in range(9)]
    backwards = [other.rows(step) for step in reversed(range(9))][::-1]
    for one_row, other_row in zip(forwards, backwards, strict=True):
        assert {name: array.dtype for name, array in one_row.items()} == dict.fromkeys(
            ("inputs", "labels", "puzzle"), np.int64
        )
        assert one_row["inputs"].shape == one_row["labels"].shape == (16, 36)
        assert one_row["puzzle"].tolist() == [0] * 16
        for name, array in one_row.items():
            np.testing.assert_array_equal(array, other_row[name])
    assert not np.array_equal(
        forwards[0]["inputs"], Sampler(replace(config, seed=1), train, config.batch).rows(0)["inputs"]
    )


@pytest.mark.parametrize("batch", [1, 16, 40])
def test_an_epoch_has_every_board_once(batch: int) -> None:
    config = _config(batch=batch, augment=False)
    train = build(config).train
    sampler = Sampler(config, train, config.batch)
    rows = np.concatenate([sampler.rows(step)["inputs"] for step in range(-(-80 // batch))])
    expected = Counter(board.tobytes() for board in train.inputs.astype(np.int64))
    epochs = [[row.tobytes() for row in rows[start : start + 40]] for start in (0, 40)]
    assert Counter(epochs[0]) == Counter(epochs[1]) == expected
    assert epochs[0] != epochs[1]


@pytest.mark.parametrize("kind", ["sudoku4", "sudoku6", "maze"])
def test_images_are_of_the_boards_of_the_epoch(kind: str) -> None:
    config = _config(**KINDS[kind])
    train = build(config).train
    rows = [Sampler(config, train, config.batch).rows(step) for step in range(5)]  # two epochs of 40
    inputs, labels = (np.concatenate([row[name] for row in rows]).astype(np.uint8) for name in ("inputs", "labels"))
    for epoch in (slice(0, 40), slice(40, 80)):
        assert sorted(config.puzzle.names(inputs[epoch])) == sorted(train.classes)
    assert len(np.unique(inputs, axis=0)) > 70
    shown = ~config.puzzle.asked(inputs)
    np.testing.assert_array_equal(inputs[shown], labels[shown])


def test_predictors_on_sudoku() -> None:
    found = build(_config(size=9, train_boards=16))
    scores = baselines(found, "test")
    assert list(scores) == [
        "copy the clues",
        "per-cell most frequent digit",
        "constraint propagation",
        "oracle: solver",
    ]
    given = (found.test.inputs != BLANK).mean(axis=1)
    assert scores["copy the clues"]["accuracy"].units == pytest.approx(given.tolist())
    assert scores["copy the clues"]["exact"].value == 0
    assert scores["oracle: solver"]["exact"].value == scores["oracle: solver"]["accuracy"].value == 1
    assert [float(g == 0) for g in found.test.guesses] == list(scores["constraint propagation"]["exact"].units)
    accuracies = [measures["accuracy"].value for measures in scores.values()]
    assert accuracies == sorted(accuracies)
    assert all(measure.n == 9 for measures in scores.values() for measure in measures.values())


def test_predictors_on_mazes() -> None:
    found = build(_config(task="maze", size=11, train_boards=200))
    scores = baselines(found, "validation")
    assert list(scores) == ["copy the maze", "per-cell most frequent label", "oracle: solver"]
    path = (found.validation.labels == PATH).mean(axis=1)
    assert scores["copy the maze"]["accuracy"].units == pytest.approx((1 - path).tolist())
    assert scores["copy the maze"]["accuracy"].value < scores["per-cell most frequent label"]["accuracy"].value < 1
    assert scores["oracle: solver"]["exact"].value == 1


def _boards(inputs: list[list[int]], labels: list[list[int]]) -> Boards:
    shown = np.array(inputs, dtype=np.uint8)
    return Boards(
        shown, np.array(labels, dtype=np.uint8), np.zeros(len(shown), dtype="S24"), np.zeros(len(shown), dtype=np.int32)
    )


def test_the_most_frequent_digit_is_that_of_open_training_cells() -> None:
    train = _boards([[1, 1, 1, 2], [1, 1, 3, 2], [1, 4, 3, 2]], [[4, 5, 2, 2], [3, 5, 3, 2], [3, 4, 3, 2]])
    test = _boards([[1, 1, 1, 1], [2, 1, 1, 1]], [[3, 5, 2, 4], [2, 5, 3, 4]])
    predicted = Sudoku(2).predictors(train)["per-cell most frequent digit"](test)
    assert predicted.tolist() == [[3, 5, 2, 1], [2, 5, 2, 1]]  # the last cell was never open in training
    assert score(Sudoku(2), test, predicted)["accuracy"].units == (0.75, 0.5)
    assert score(Sudoku(2), test, test.labels)["exact"].units == (1.0, 1.0)
