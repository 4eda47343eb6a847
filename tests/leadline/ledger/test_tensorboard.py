from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from leadline.engine.tensorboard_files import TensorBoardFiles
from leadline.ledger import tensorboard
from leadline.ledger.history import History
from leadline.storage import Folder
from tests.leadline.engine.test_director import BASE, Simulation


def written(history: History, folder: Path, run: str) -> tuple[dict[str, Any], list[str]]:
    """The hyperparameters of a run, and the names of its values."""
    tensorboard.write(history, Folder.at(str(folder)))
    found = EventAccumulator(str(folder / run))
    found.Reload()
    content = HParamsPluginData.FromString(found.PluginTagToContent("hparams")["_hparams_/session_start_info"])
    held = content.session_start_info.hparams
    return {name: getattr(one, one.WhichOneof("kind")) for name, one in held.items()}, found.Tags()["scalars"]


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_an_integer_that_no_float_holds_keeps_its_digits(tmp_path: Path) -> None:
    history = Simulation(BASE).run().director.history
    history.trials[0].params |= {"seed": 2**63 - 1, "small": 2**53, "widths": [2, 0.12345678901], "none": None}
    held, _ = written(history, tmp_path, "trial-0000")
    assert {name: held[name] for name in ("seed", "small", "widths", "none")} == {
        "seed": "9223372036854775807",
        "small": 2.0**53,
        "widths": "2,0.12345678901",
        "none": "None",
    }


def test_a_run_has_what_was_searched_and_nothing_that_was_not(tmp_path: Path) -> None:
    history = Simulation(BASE).run().director.history
    trial = history.trials[0]
    field = {history.settings.stratify: history.settings.strata[0]} if history.settings.stratify else {}
    held, values = written(history, tmp_path, "trial-0000")
    assert held == {**field, **trial.params}
    assert set(trial.config) - set(held)
    assert "validation/error" in values


def test_a_trial_without_a_value_has_its_hyperparameters(tmp_path: Path) -> None:
    history = Simulation(BASE).run().director.history
    history.trials[0].reports.clear()
    history.trials[0].moments.clear()
    held, values = written(history, tmp_path, "trial-0000")
    assert held["lr"] == history.trials[0].params["lr"]
    assert values == []


def test_what_is_there_stays_and_what_is_old_goes(tmp_path: Path) -> None:
    history = Simulation(BASE).run().director.history
    folder = Folder.at(str(tmp_path))
    tensorboard.write(history, folder)
    first = files(tmp_path)
    kept = next(name for name in first if name.startswith("trial-0001"))
    (tmp_path / kept).write_bytes(b"left alone")
    folder.write("trial-0000/hparams/events.out.tfevents.1.host", b"of an older version")
    folder.write("trial-9999/events.out.tfevents.1.host", b"of no trial")
    tensorboard.write(history, folder)
    assert files(tmp_path) == {**first, kept: b"left alone"}


def test_a_column_whose_type_changes_is_written_anew(tmp_path: Path) -> None:
    history, folder = Simulation(BASE).run().director.history, Folder.at(str(tmp_path))
    name = next(iter(history.trials[0].params))
    tensorboard.write(history, folder)
    before = files(tmp_path)
    history.trials[0].params[name] = "auto"
    tensorboard.write(history, folder)
    changed = files(tmp_path).keys() - before.keys()
    assert [file.partition("/")[0] for file in changed] == [tensorboard.TABLE]


def test_what_fails_for_one_trial_costs_no_other(tmp_path: Path) -> None:
    director = Simulation(BASE).run().director
    director.history.trials[0].moments.clear()
    live = TensorBoardFiles(director, Folder.at(str(tmp_path)))
    live.ended(0)
    live.ended(1)
    live.close(60)
    assert (tmp_path / tensorboard.FOLDER / "trial-0001").is_dir()
    assert not (tmp_path / tensorboard.FOLDER / "trial-0000").exists()


def test_trials_are_written_as_they_end(tmp_path: Path) -> None:
    director = Simulation(BASE).run().director
    searched = [trial for trial in director.history.search_trials() if trial.attempts]
    live = TensorBoardFiles(director, Folder.at(str(tmp_path / "sweep")))
    for trial in searched:
        live.ended(trial.number)
    live.close(60)
    made = files(tmp_path / "sweep" / tensorboard.FOLDER)
    assert {name.partition("/")[0] for name in made} == {*map(tensorboard.run_name, searched), tensorboard.TABLE}
    tensorboard.write(director.history, Folder.at(str(tmp_path / "whole")))
    assert made.items() <= files(tmp_path / "whole").items()


def test_on_a_slow_store_the_end_of_the_sweep_waits_for_the_run_in_hand_and_no_other_follows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first removal is slow: it lasts until the end of the sweep writes too, a second at most."""
    director, delete, write = Simulation(BASE).run().director, Folder.delete, Folder.write
    slow, other, seen = threading.Event(), threading.Event(), []

    def touched(folder: Folder) -> None:
        ours = threading.current_thread().name == "tensorboard"
        seen.append((ours, folder.name))
        if not ours:
            other.set()
        elif not slow.is_set():
            slow.set()
            other.wait(1.0)

    def slow_delete(folder: Folder) -> None:
        touched(folder)
        delete(folder)

    def slow_write(folder: Folder, name: str, content: bytes) -> None:
        touched(folder)
        write(folder, name, content)

    monkeypatch.setattr(Folder, "delete", slow_delete)
    monkeypatch.setattr(Folder, "write", slow_write)
    live = TensorBoardFiles(director, Folder.at(str(tmp_path / "sweep")))
    for number in (0, 1, 2):
        live.ended(number)
    assert slow.wait(60)
    live.close(0)
    live.write_all()
    live.close(60)
    assert [ours for ours, _ in seen] == sorted((ours for ours, _ in seen), reverse=True), "they take turns"
    assert {run for ours, run in seen if ours} == {"trial-0000", tensorboard.TABLE}
    monkeypatch.undo()
    tensorboard.write(director.history, Folder.at(str(tmp_path / "whole")))
    assert files(tmp_path / "sweep" / tensorboard.FOLDER) == files(tmp_path / "whole")


def test_storage_that_refuses_is_left_to_the_end_of_the_sweep(tmp_path: Path) -> None:
    director = Simulation(BASE).run().director
    (tmp_path / "sweep").write_text("a file, where a folder is wanted")
    live = TensorBoardFiles(director, Folder.at(str(tmp_path / "sweep")))
    live.ended(0)
    live.ended(1)
    live.close(60)
    assert (tmp_path / "sweep").is_file()
