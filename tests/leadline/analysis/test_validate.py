"""`leadline validate`: whether a checkpoint scores here what its record says."""

from __future__ import annotations

import dataclasses
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from leadline.analysis.validation import compared
from leadline.checkpoint import Checkpoint, CheckpointStore
from leadline.commands.dispatch import main
from leadline.ledger.layout import trial_folder
from leadline.measure import Measure
from leadline.storage import Folder
from leadline.training.loop import Loop
from tests.leadline.analysis.stored_sweep import copied, flip
from tests.leadline.engine.test_director import BASE
from tests.leadline.in_process_sweep import play
from tests.leadline.toy import TOY

FAMILY = "--family=tests.leadline.toy:TOY"


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a trial with two checkpoints; not to be written to."""
    folder = tmp_path_factory.mktemp("trial")
    store = CheckpointStore(Folder.at(str(folder)))
    list(Loop(TOY, TOY.config({"steps": 4, "eval_every": 2}), None, store=store).run())
    return folder


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int, int]:
    """A sweep, with the numbers of a search trial and of a replicate; not to be written to."""
    folder = tmp_path_factory.mktemp("played") / "s"
    settings = dataclasses.replace(BASE, trials=4, budget=3, confirm=1, replicates=1, stratify=None, strata=(None,))
    trials = play(Folder.at(str(folder)), settings).history.trials.values()
    return folder, 0, next(one.number for one in trials if one.of is not None)


def changed(trial: Path, target: Path, change: Callable[[Checkpoint], None]) -> str:
    """The trial's newest checkpoint with a change, published elsewhere by the store's own means."""
    newest = CheckpointStore(Folder.at(str(trial))).newest()
    assert newest is not None
    change(newest)
    store = CheckpointStore(Folder.at(str(target)))
    return str(target / store.publish(newest.step, newest.state, newest.record))


def verdicts(out: str) -> dict[str, str]:
    """Of each metric of a table."""
    rows = [[cell.strip() for cell in line.strip("│").split("│")] for line in out.splitlines() if line.startswith("│")]
    return {row[0]: row[-1] for row in rows}


def test_a_checkpoint_is_equal_where_it_was_trained(trial: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for place in (trial, trial / "attempt-01" / "step-000000002", f"{trial}/attempt-01/step-000000004/"):
        assert main(["validate", str(place), FAMILY]) == 0
        out = capsys.readouterr().out
        assert verdicts(out) == {"error": "equal"}
        assert "4 units" in out
        assert "rounding" not in out
    assert out.startswith(
        f"{trial}/attempt-01/step-000000004: toy, validation, here on cpu in float32, saved in float32\n"
    )


def test_a_flipped_weight_is_found_with_its_units(
    trial: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def change(found: Checkpoint) -> None:
        found.state["model"]["weight"] *= -1

    assert main(["validate", changed(trial, tmp_path, change), FAMILY]) == 1
    out = capsys.readouterr().out
    assert verdicts(out) == {"error": "changed"}
    assert "\nerror: 4 of 4 units differ: 0 (" in out
    assert "\nrounding: up to 1e-05 of a number or of the metric's value, for float32" in out


def test_a_record_without_units_is_compared_by_value(
    trial: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As those are which were written before units were kept."""

    def older(found: Checkpoint) -> None:
        del found.record["units"]

    def older_and_other(found: Checkpoint) -> None:
        older(found)
        found.state["model"]["weight"] *= -1

    assert main(["validate", changed(trial, tmp_path / "a", older), FAMILY]) == 0
    assert "value, interval, n" in capsys.readouterr().out
    assert main(["validate", changed(trial, tmp_path / "b", older_and_other), FAMILY]) == 1
    assert "\nchanged, without units in the record to say where: error\n" in capsys.readouterr().out


@pytest.mark.parametrize("dtype", ["bfloat16", "float64"])
def test_another_precision_is_measured(dtype: str, trial: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["validate", str(trial), FAMILY, "--dtype", dtype])
    [verdict] = verdicts(capsys.readouterr().out).values()
    assert verdict != "equal", "it computes in that precision"
    assert (verdict, code) in (("within rounding", 0), ("changed", 1))
    assert torch.get_default_dtype() == torch.float32


def test_a_trial_of_a_sweep_has_the_family_of_its_ledger(
    sweep: tuple[Path, int, int], capsys: pytest.CaptureFixture[str]
) -> None:
    folder, searched, replicate = sweep
    for number in (searched, replicate):
        assert main(["validate", str(folder / trial_folder(number))]) == 0
        assert verdicts(capsys.readouterr().out) == {"error": "equal"}
    assert main(["validate", str(folder / trial_folder(replicate)), "--split=test"]) == 0
    out = capsys.readouterr().out
    assert (verdicts(out), ": toy, test, here on cpu" in out, "4 units" in out) == ({"error": "equal"}, True, True)
    assert main(["validate", str(folder / trial_folder(searched)), "--split=test"]) == 2
    assert capsys.readouterr().err.startswith("error: split: the record of attempt-01/step-")


def test_on_s3(trial: Path, s3_options: str, capsys: pytest.CaptureFixture[str]) -> None:
    copied(trial, Folder.at(f"s3://bucket/validate?{s3_options}"))
    for place in ("validate", "validate/attempt-01/step-000000004"):
        assert main(["validate", f"s3://bucket/{place}?{s3_options}", FAMILY]) == 0
        out = capsys.readouterr().out
        assert verdicts(out) == {"error": "equal"}
        assert out.startswith("s3://bucket/validate/attempt-01/step-000000004: toy,")


def _damaged(folder: Path) -> None:
    flip(folder / "attempt-01" / "step-000000004" / "state.pt")


def _all_damaged(folder: Path) -> None:
    for path in folder.rglob("state.pt"):
        flip(path)


NEWEST = "attempt-01/step-000000004"


@pytest.mark.parametrize(
    ("prepare", "below", "words", "message"),
    [
        (None, "nowhere", [], "checkpoint: there is no checkpoint at "),
        (None, f"{NEWEST}/state.pt", [], "checkpoint: "),
        (_damaged, NEWEST, [], "checkpoint: it is damaged: "),
        (_all_damaged, "", [], "checkpoint: no checkpoint is intact at "),
        (None, NEWEST, ["--family="], "family: no 'toy'; installed: "),
        (None, NEWEST, ["--family=tests.leadline.analysis.demo:DEMO"], "family: attempt-01/step-000000004 is of toy, not of "),  # noqa: E501
        (None, NEWEST, ["--device=abacus"], "device: cannot use abacus: "),
        (None, NEWEST, ["--dtype=float16"], "dtype: invalid choice: 'float16'"),
        (None, NEWEST, ["--split=train"], "split: invalid choice: 'train'"),
        (None, NEWEST, ["--split=test"], "split: the record of attempt-01/step-000000004 has no score on test, only on validation"),  # noqa: E501
    ],
)  # fmt: skip
def test_bad_input_is_one_line_before_anything_is_computed(
    prepare: Callable[[Path], None] | None,
    below: str,
    words: list[str],
    message: str,
    trial: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(type(TOY), "build_data", lambda *_: pytest.fail("it began"))
    folder = shutil.copytree(trial, tmp_path / "trial")
    if prepare:
        prepare(folder)
    assert main(["validate", str(folder / below), FAMILY, *words]) == 2
    out, err = capsys.readouterr()
    lines = [line for line in err.splitlines() if not line.startswith("warning: ")]
    assert (out, len(lines)) == ("", 1)
    assert lines[0].startswith(f"error: {message}")


def test_a_gpu_that_is_not_there(trial: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is one")
    assert main(["validate", str(trial), FAMILY, "--device=cuda"]) == 2
    assert capsys.readouterr().err.startswith("error: device: cannot use cuda: ")


def test_data_that_cannot_be_built(
    trial: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def build(*_: Any) -> Any:
        raise FileNotFoundError("puzzles.npz is gone")

    monkeypatch.setattr(type(TOY), "build_data", build)
    assert main(["validate", str(trial), FAMILY]) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: build_data: raised FileNotFoundError: puzzles.npz is gone")
    assert err.count("\n") == 1


def measure(*units: float) -> Measure:
    value = math.fsum(units) / len(units)
    return Measure(value, len(units), value, value, units)


@pytest.mark.parametrize(
    ("recorded", "found", "verdict", "units"),
    [
        (measure(1.0, 2.0), measure(1.0, 2.0), "equal", ()),
        (measure(1.0, 2.0), measure(1.0, 2.000001), "within rounding", ()),
        (measure(1.0, 2.0), measure(1.0, 2.0001), "changed", (1,)),
        (measure(0.0, 2.0), measure(1e-7, 2.0), "within rounding", ()),
        (measure(0.0, 1.0, 1.0), measure(0.0, 0.0, 1.0), "changed", (1,)),
        (measure(0.0, *[1.0] * 10**6), measure(1.0, *[1.0] * 10**6), "changed", (0,)),
        (measure(1.0, 2.0), measure(1.0, 2.0, 1.5), "changed", ()),
        (measure(1.0, math.nan), measure(1.0, math.inf), "equal", ()),
        (measure(1.0, 2.0), None, "changed", ()),
        (Measure(0.5, 4, 0.25, 0.75), Measure(0.5, 4, 0.25, 0.75), "equal", ()),
        (Measure(0.5, 4, 0.25, 0.75), Measure(0.5, 4, 0.25, 0.76), "changed", ()),
        (Measure(0.5, 4, 0.25, 0.75), Measure(0.5, 5, 0.25, 0.75), "changed", ()),
        (Measure(0.5, 2, 0.0, 1.0), Measure(0.5, 2, 0.0, 1.0, (0.0, 1.0)), "equal", ()),
        (Measure(1 - 1e-6, 10**6, 1.0, 1.0), Measure(1.0, 10**6, 1.0, 1.0, (1.0,) * 10**6), "changed", ()),
    ],
)  # fmt: skip
def test_verdicts(recorded: Measure, found: Measure | None, verdict: str, units: tuple[int, ...]) -> None:
    recorded = Measure.from_dict(recorded.to_dict(units=True))
    told = compared("error", recorded, found, 1e-5)
    assert (told.verdict, told.units) == (verdict, units)
