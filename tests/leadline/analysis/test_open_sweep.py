from __future__ import annotations

import hashlib
import inspect
import json
import os
import re
import shutil
import warnings
from pathlib import Path
from typing import Any

import pandas
import pytest
import torch

from leadline import Sweep
from leadline.analysis.columns import COLUMNS, REPORTS
from leadline.checkpoint import CheckpointStore
from leadline.commands import train
from leadline.config import ConfigError
from leadline.ledger import leaderboard
from tests.leadline.analysis.demo import DEMO

Build = Any


def publish(folder: Path, view: Any, step: int, attempt: int = 1) -> dict[str, torch.Tensor]:
    """Stores a checkpoint with weights of its own; returns them."""
    model = DEMO.model(DEMO.config({**view.config, "seed": step}))
    store = CheckpointStore(view.sweep.folder / "trials" / f"{view.number:04d}", attempt)
    store.publish(step, {"model": model.state_dict()}, {"history": []})
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def equal(model: torch.nn.Module, weights: dict[str, torch.Tensor]) -> bool:
    state = model.state_dict()
    return state.keys() == weights.keys() and all(torch.equal(state[name], tensor) for name, tensor in weights.items())


def flip_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


@pytest.fixture
def trained(build: Build) -> Sweep:
    made = build()
    made.train(4, failing=None)
    return Sweep.open(made.close())


def test_trials_and_settings(finished: Path) -> None:
    sweep = Sweep.open(finished)
    assert (sweep.name, sweep.strata, sweep.settings.trials) == ("demo", ["10", "100"], 12)
    assert [view.number for view in sweep.trials] == sorted(sweep.history.trials)
    assert sweep.trial(0).config["lookahead"] == 10
    assert sweep.trial(3).status == "failed"


@pytest.mark.parametrize("tail", ["", "/", "/.", "/../demo"])
def test_spellings_of_a_path(finished: Path, tail: str) -> None:
    assert Sweep.open(f"{finished}{tail}").name == "demo"
    assert Sweep.open(f"file://{finished}").name == "demo"


def test_current_folder(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(finished)
    assert Sweep.open(".").name == "demo"


def test_not_a_sweep_says_what_is_there(finished: Path, tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(ValueError, match=r"no ledger; it holds inner/, notes\.txt"):
        Sweep.open(tmp_path)
    with pytest.raises(ValueError, match="name one of them: demo"):
        Sweep.open(finished.parent)
    with pytest.raises(ValueError, match="no such folder"):
        Sweep.open(tmp_path / "none")


def test_ledger_without_an_event(tmp_path: Path) -> None:
    (tmp_path / "sweep" / "ledger").mkdir(parents=True)
    with pytest.raises(ValueError, match="not a sweep yet"):
        Sweep.open(tmp_path / "sweep")


def test_best_of_a_stratum(finished: Path) -> None:
    sweep = Sweep.open(finished)
    best = sweep.best(lookahead=100)
    rivals = [
        view
        for view in sweep.trials
        if view.trial.kind == "search" and view.stratum == "100" and view.status == "finished"
    ]
    assert best.number == min(rivals, key=lambda view: view.trial.value("validation/hinge")).number
    assert sweep.best(lookahead="100").number == best.number
    assert len(best.replicates) == 5
    assert all(run.trial.of == best.number for run in best.replicates)


def test_a_stratum_that_is_a_number_is_named_by_any_number_equal_to_it(build: Build) -> None:
    made = build(strata=(20.0, 0.5, "ramp"))
    sweep = Sweep.open(made.close())
    values = (20, "20", 20.0, "2e1", "0.50", "ramp", 21, "rampe", None)
    assert [sweep.stratum(value) for value in values] == ["20.0"] * 4 + ["0.5", "ramp", None, None, None]


def test_best_takes_a_number_for_an_equal_one(build: Build) -> None:
    made = build(strata=(10.0, 100.0))
    made.train(failing=None)
    sweep = Sweep.open(made.close())
    assert sweep.best(lookahead=100).stratum == "100.0"


def test_a_sweep_that_lies_in_results_is_pointed_at(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(finished, tmp_path / "results" / "demo")
    monkeypatch.chdir(tmp_path)
    for name in ("demo", tmp_path / "demo"):
        with pytest.raises(ValueError, match=r"demo: there is no such folder; there is a sweep at results/demo$"):
            Sweep.open(name)
    with pytest.raises(ValueError, match=r"other: there is no such folder$"):
        Sweep.open("other")
    with pytest.raises(ConfigError, match=r"^from: there is no sweep at demo; there is a sweep at results/demo$"):
        train._from_ledger("demo", "0")


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ({}, "lookahead: name one of 10, 100"),
        ({"lookahead": 30}, "lookahead: no 30 in demo; it has 10, 100"),
        ({"lr": 1}, "lr: demo cannot be divided by it; it is stratified by lookahead: 10, 100"),
    ],
)
def test_best_needs_a_stratum(finished: Path, where: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        Sweep.open(finished).best(**where)


def test_best_of_a_single_stratum(build: Build) -> None:
    made = build(stratify=None, strata=("all",))
    made.train(failing=None)
    sweep = Sweep.open(made.close())
    assert sweep.best().number == leaderboard.ranked(sweep.history, "all")[0].number
    with pytest.raises(ValueError, match="single stratum"):
        sweep.best(lookahead=10)


def test_best_before_any_has_finished(build: Build) -> None:
    sweep = Sweep.open(build().close(""))
    with pytest.raises(ValueError, match="none of its 0 trials finished"):
        sweep.best(lookahead=10)


def test_unknown_trial(finished: Path) -> None:
    with pytest.raises(ValueError, match="no trial 99; it has 0 to"):
        Sweep.open(finished).trial(99)


def test_curve(finished: Path) -> None:
    view = Sweep.open(finished).best(lookahead=10)
    assert [step for step, _ in view.curve("hinge")] == [100, 200, 300, 400]
    assert view.curve("validation/hinge") == view.curve("hinge")
    assert view.replicates[0].curve("test/hinge")[0][0] == 400
    with pytest.raises(ValueError, match="no 'validation/loss'; it has validation/hinge"):
        view.curve("loss")


def test_leaderboard_is_the_ledgers_own(finished: Path) -> None:
    sweep = Sweep.open(finished)
    assert sweep.leaderboard() == leaderboard.board(sweep.history, "demo")


def test_table(finished: Path) -> None:
    sweep = Sweep.open(finished)
    table = sweep.table()
    first = ["trial", "stratum", "status", "value", "params.width", "config.lr", "config.margin"]
    assert list(table.columns[: len(first)]) == first
    assert [name for name in table.columns if name in COLUMNS] == list(COLUMNS)
    assert table.columns[len(first) :].tolist()[-3:] == ["config.seed", "config.lookahead", "config.layers"]
    assert table["trial"].tolist() == [view.number for view in sweep.trials]
    best = sweep.best(lookahead=100)
    row = table.set_index("trial").loc[best.number]
    assert (row["value"], row["config.lookahead"]) == (best.trial.value("validation/hinge"), 100)
    assert (row["config.layers"], row["params.width"]) == (tuple(best.config["layers"]), best.params["width"])
    assert pandas.isna(row["test"])
    replicates = table[table["kind"] == "replicate"]
    assert replicates["test"].notna().all()
    assert replicates["params.width"].isna().all()


def test_every_field_is_a_column_or_a_constant(finished: Path) -> None:
    sweep = Sweep.open(finished)
    folded, whole = sweep.table(), sweep.table(constants=True)
    constants = folded.attrs["constants"]
    assert (constants["pool"], constants["steps"], whole.attrs["constants"]) == (64, 400, {})
    for view in sweep.trials:
        for name, value in view.config.items():
            value = tuple(value) if isinstance(value, list) else value
            assert whole.loc[view.number, f"config.{name}"] == value
            assert (f"config.{name}" in folded) == (name not in constants)
            assert constants.get(name, value) == value


def test_equal_values_of_two_types_are_no_constant(build: Build) -> None:
    made = build()
    made.train(2)
    sweep = Sweep.open(made.close())
    first, second = (trial.config for trial in sweep.history.trials.values())
    first["flag"], second["flag"], first["whole"] = 1, True, 7
    table = sweep.table()
    assert "config.flag" in table
    assert table.attrs["constants"]["whole"] == 7, "the trial that lacks it does not differ"


def test_the_help_lists_the_columns() -> None:
    for method, columns in ((Sweep.table, COLUMNS), (Sweep.reports, REPORTS)):
        told = " ".join((inspect.getdoc(method) or "").split())
        assert all(f"{name} {meaning}" in told for name, meaning in columns.items())


def test_table_of_nothing(build: Build) -> None:
    assert list(Sweep.open(build().close("")).table().columns) == list(COLUMNS)


def test_load_returns_the_weights_of_the_last_report(trained: Sweep) -> None:
    view = trained.trial(0)
    publish(Path(trained.folder.path), view, 300)
    weights = publish(Path(trained.folder.path), view, 400)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = view.load()
    assert equal(model, weights)
    assert not model.training


def test_a_trial_answers_an_input_with_its_weights(trained: Sweep) -> None:
    view = trained.trial(0)
    publish(Path(trained.folder.path), view, 300)
    publish(Path(trained.folder.path), view, 400)
    config = DEMO.config(view.config)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        answer = view.predict(27)
        assert answer == DEMO.predict(view.load(), 27, config)
    assert answer != DEMO.predict(DEMO.model(config), 27, config)
    with pytest.raises(ConfigError, match=r"^inputs: .*28"):
        view.predict(28)


def test_damaged_checkpoint_is_named_and_the_older_one_used(trained: Sweep) -> None:
    view = trained.trial(0)
    older = publish(Path(trained.folder.path), view, 300)
    publish(Path(trained.folder.path), view, 400)
    flip_bit(Path(trained.folder.path) / "trials/0000/attempt-01/step-000000400/state.pt")
    with pytest.warns(UserWarning, match="trial 0: using") as caught:
        model = view.load()
    messages = [str(warning.message) for warning in caught]
    assert any("step-000000400/state.pt" in message for message in messages)
    assert any("using attempt-01/step-000000300" in message for message in messages)
    assert equal(model, older)


def test_no_intact_checkpoint(trained: Sweep) -> None:
    view = trained.trial(0)
    with (
        pytest.warns(UserWarning, match="step-000000400"),
        pytest.raises(ValueError, match="trial 0: no intact checkpoint"),
    ):
        view.load()


def test_weights_of_another_model(trained: Sweep) -> None:
    view = trained.trial(0)
    CheckpointStore(trained.folder / "trials" / "0000").publish(400, {"model": {"other": torch.zeros(1)}}, {})
    with pytest.raises(ValueError, match="the trained weights do not fit that of demo"):
        view.load()


def test_nothing_is_unpickled(trained: Sweep, tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return (os.mkdir, (str(tmp_path / "sprung"),))

    view = trained.trial(0)
    store = CheckpointStore(trained.folder / "trials" / "0000")
    place = Path(store.folder.path) / store.publish(400, {"model": {}}, {})
    torch.save({"model": {}, "trap": Trap()}, place / "state.pt")  # which `publish` would refuse
    content = (place / "state.pt").read_bytes()
    manifest = json.loads((place / "manifest.json").read_text())
    manifest["files"]["state.pt"] = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    (place / "manifest.json").write_text(json.dumps(manifest))
    with pytest.warns(UserWarning, match="damaged"), pytest.raises(ValueError, match="no intact checkpoint"):
        view.load()
    assert not (tmp_path / "sprung").exists()
