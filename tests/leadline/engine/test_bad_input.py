"""Bad input: one line that names the field, exit code 2, nothing started, nothing written."""

from __future__ import annotations

import dataclasses
import datetime
import math
import os
import sys
import time
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from leadline.engine.director import Director
from leadline.engine.run import drive
from leadline.engine.study import Contrast, Study
from leadline.engine.supervisor import Parent
from leadline.ledger import segments
from leadline.ledger.events import Closed, Opened
from leadline.ledger.format import lines
from leadline.ledger.lease import Lease
from leadline.ledger.segments import Ledger
from leadline.storage import Folder
from tests.conftest import ROOT, command
from tests.leadline.engine.test_director import BASE, Simulation
from tests.leadline.toy import Toy
from tests.leadline.toy_study import STUDY

LINE = dataclasses.replace(
    STUDY,
    family="tests.plugin.line.family:LINE",
    space=lambda trial, scale: {"lr": trial.suggest_float("lr", 1e-3, 0.3)},
    stratify=None,
    scales={"laptop": dataclasses.replace(STUDY.scales["laptop"], strata=("all",))},
)
"""A study over a family with batches."""


def main(study: Study, manual: str, arguments: list[str], *, replaces: bool = False) -> None:
    """As a script, but for the process that it would fork."""
    raise SystemExit(drive(study, manual, arguments, Parent(time.time(), "/nowhere", replaces=replaces)))


CASES = [
    (["--trails", "5"], "trails"),
    (["--trials", "x"], "trials"),
    (["--trials", "0"], "trials"),
    (["--trials"], "trials"),
    (["--steps", "1"], "steps"),
    (["--grace", "0"], "grace"),
    (["--reduction", "1"], "reduction"),
    (["--seed", "-1"], "seed"),
    (["--scale", "huge"], "scale"),
    (["--target", "nan"], "target"),
    (["--time-limit", "3y"], "time-limit"),
    (["--storage-patience", "0"], "storage-patience"),
    (["--concurrent", "0"], "concurrent"),
    (["--concurrent", "999"], "concurrent"),
    (["--cpus-per-trial", "999"], "cpus-per-trial"),
    (["--cpus-per-trial", "nan"], "cpus-per-trial"),
    (["--gpus-per-trial", "99"], "gpus-per-trial"),
    (["--workers-per-trial", "999"], "cpus-per-trial"),
    (["--enqueue", "/nowhere.yaml"], "enqueue"),
    (["--name", "../outside"], "name"),
    (["--name", "a/b"], "name"),
    (["--name", ".."], "name"),
    (["--name", "a", "--resume", "b"], "name"),
    (["--resume", "nothing"], "resume"),
    (["--storage", "/proc/nowhere"], "storage"),
    (["--storage", "s3://key:secret@bucket/x"], "storage"),
    (["lr"], "lr"),
    (["lr=1", "lr=2"], "lr"),
    (["lr=nan"], "lr"),
    (["lr=-1"], "lr"),
    (["lr=fast"], "lr"),
    (["learning=1"], "learning"),
    (["lr="], "lr"),
    (["level="], "level"),
    (["steps=5"], "steps"),
    (["level=1,1"], "level"),
    (["level=x"], "level"),
    (["level=77"], "level"),
]


@pytest.mark.parametrize(
    ("arguments", "field"), CASES, ids=lambda value: " ".join(value) if isinstance(value, list) else ""
)
def test_bad_input_is_one_line_and_exit_code_2(
    arguments: list[str],
    field: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main(STUDY, "", arguments)
    said = capsys.readouterr()
    assert ended.value.code == 2
    assert said.out == ""
    assert said.err.startswith(f"error: {field}: ")
    assert said.err.count("\n") == 1
    assert "secret" not in said.err
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("--dry_run", "dry_run: unknown option; did you mean --dry-run?"),
        ("--trails=5", "trails: unknown option; did you mean --trials?"),
        ("--xyz", "xyz: unknown option; see --help"),
    ],
)
def test_an_unknown_option_names_the_nearest(
    option: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(STUDY, "", [option, "--storage", str(tmp_path)])
    assert ended.value.code == 2
    assert capsys.readouterr().err == f"error: {said}\n"


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    """A finished sweep's ledger, made without Ray."""
    ledger = Ledger(Folder.at(str(tmp_path / "done" / "ledger")))
    for event in Simulation(BASE).run().events:
        ledger.append(event)
    ledger.close()
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        (["--name", "done"], "name"),
        (["--resume", "done", "--seed", "77"], "seed"),
        (["--resume", "done", "--steps", "8"], "steps"),
        (["--resume", "done", "--trials", "3"], "trials"),
        (["--resume", "done", "--scale", "smoke"], "scale"),
        (["--resume", "done", "lr=0.2"], "lr"),
    ],
)
def test_what_exists_is_neither_overwritten_nor_changed(
    finished: Path, arguments: list[str], field: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.read_bytes() for path in finished.rglob("*") if path.is_file()}
    with pytest.raises(SystemExit) as ended:
        main(STUDY, "", ["--storage", str(finished), *arguments])
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith(f"error: {field}: ")
    assert {path: path.read_bytes() for path in finished.rglob("*") if path.is_file()} == before


def test_a_search_space_in_which_old_trials_do_not_fit_is_refused_before_anything_starts(
    finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def space(trial: Any, scale: str) -> dict[str, Any]:
        return {**STUDY.space(trial, scale), "sleep": trial.suggest_float("sleep", 0.0, 1.0)}

    before = {path: path.read_bytes() for path in finished.rglob("*") if path.is_file()}
    changed = dataclasses.replace(STUDY, space=space)
    with pytest.raises(SystemExit) as ended:
        main(changed, "", ["--storage", str(finished), "--resume", "done", "--trials", "20", "--concurrent", "1"])
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith(
        "error: sleep: trial 0 has none, and the space now asks for one from [0, 1]; "
    )
    assert {
        path: path.read_bytes() for path in finished.rglob("*") if path.is_file() and path.name != ".writable"
    } == before


def test_a_dry_run_for_a_cluster_does_not_ask_for_this_machines_gpus(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [
        "--dry-run",
        "--scale",
        "smoke",
        "--storage",
        str(tmp_path / "r"),
        "--address",
        "http://127.0.0.1:1",
        "--gpus-per-trial",
        "1",
    ]
    with pytest.raises(SystemExit) as end:
        main(STUDY, "", words)
    assert end.value.code == 0
    assert "as many as fit at a time on the cluster at http://127.0.0.1:1, seed 0" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_of_a_longer_budget_says_what_would_go_on(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(
            STUDY,
            "",
            ["--storage", str(finished), "--resume", "done", "--steps", "27", "--concurrent", "1", "--dry-run"],
        )
    assert ended.value.code == 0
    plan = capsys.readouterr().out
    assert "note        the budget is now 27 steps: of " in plan
    assert "next proposals" in plan


def test_a_sweep_of_another_study_is_not_resumed(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(dataclasses.replace(STUDY, name="other"), "", ["--storage", str(finished), "--resume", "done"])
    assert capsys.readouterr().err == "error: resume: done belongs to the study toy, not to other\n"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("lr: 1", "must hold a list"),
        ("- {lr: 0.1, speed: 3}", "entry 1: speed: unknown field"),
        ("- {lr: 0.1}\n- {lr: 7}", "entry 2: lr: outside the search space"),
        ("- {offset: 0.5, level: 77}", "entry 1: level: "),
        ("- {lr: [}", "cannot read"),
        ("- {lr: 2020-01-01}", "entry 1: lr: a date cannot be recorded; give a number, text"),
        ("- {lr: .nan}", "entry 1: lr: nan cannot be recorded; give a finite number"),
        ("- {lr: !!set {a}}", "entry 1: lr: a set cannot be recorded"),
    ],
)
def test_a_bad_enqueue_file_names_its_entry(
    tmp_path: Path, content: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "first.yaml").write_text(content)
    with pytest.raises(SystemExit) as ended:
        main(STUDY, "", ["--enqueue", str(tmp_path / "first.yaml"), "--storage", str(tmp_path / "r")])
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("error: enqueue: ")
    assert said in error


@pytest.mark.parametrize(
    ("content", "said"),
    [("- {steps: 3}", "steps: is fixed"), ("- {lr: 0.1}", "lr: is fixed"), ("- {}\n" * 9, "9 entries are more")],
)
def test_an_enqueued_entry_that_would_be_ignored_is_refused(
    tmp_path: Path, content: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "first.yaml").write_text(content)
    with pytest.raises(SystemExit) as ended:
        main(STUDY, "", ["--enqueue", str(tmp_path / "first.yaml"), "--storage", str(tmp_path / "r"), "lr=0.2"])
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_a_sweep_that_still_runs_is_not_resumed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = Folder.at(str(tmp_path / "busy"))
    ledger = Ledger(folder / "ledger")
    Director(BASE, STUDY.space, ledger.append).opened({})
    ledger.close()
    lease = Lease.take(folder / "lease", pytest.fail)  # by this process, which runs
    before = segments.read(folder / "ledger")
    with pytest.raises(SystemExit) as ended:
        main(STUDY, "", ["--storage", str(tmp_path), "--resume", "busy", "--concurrent", "1"])
    assert ended.value.code == 2
    assert f"error: resume: busy is still run by process {os.getpid()} on " in capsys.readouterr().err
    lease.release()
    assert segments.read(folder / "ledger") == before


def test_rows_that_the_workers_cannot_share_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(LINE, "", ["--storage", str(tmp_path), "--workers-per-trial", "2", "--cpus-per-trial", "0.5", "batch=3"])
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("error: batch: 3 rows cannot be shared by 2 workers")


def test_no_room_for_the_checkpoints_is_said_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # The one mock here: a disk cannot be filled for a test.
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 10})())
    with pytest.raises(SystemExit) as ended:
        main(STUDY, "", ["--storage", str(tmp_path)])
    assert ended.value.code == 2
    assert "lower --trials or choose another --storage" in capsys.readouterr().err


def test_bad_input_is_refused_before_ray_is_imported() -> None:
    program = (
        "import sys\nfrom tests.leadline.toy_study import STUDY, main\n"
        "try: main(STUDY, '', ['lr=-1'])\nexcept SystemExit as end: print(end.code, 'ray' in sys.modules)"
    )
    assert command("-c", program, PYTHONPATH=str(ROOT)).stdout == "2 False\n"


def test_help_names_every_option_and_field(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(STUDY, "What it asks.", ["--help"])
    said = capsys.readouterr().out
    assert ended.value.code == 0
    options = (
        "trials steps grace reduction concurrent seed replicates confirm time-limit target storage name resume dry-run"
    )
    for option in [*options.split(), "cpus-per-trial", "gpus-per-trial", "workers-per-trial", "scale", "enqueue"]:
        assert f"--{option}" in said
    assert "What it asks." in said
    assert "level=int" in said


def test_a_dry_run_prints_the_plan_and_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the fields that the scale fixes, those that follow from the strata, and those of the command line."""
    smoke = dataclasses.replace(STUDY.scales["smoke"], fields={"leak": False})
    study = dataclasses.replace(
        STUDY, scales={**STUDY.scales, "smoke": smoke}, shared=lambda strata: {"nan_at": 100 * max(strata)}
    )
    with pytest.raises(SystemExit) as ended:
        main(study, "", ["--dry-run", "--scale", "smoke", "--storage", str(tmp_path / "r"), "--trials", "6", "hold=0"])
    plan = capsys.readouterr().out
    assert ended.value.code == 0
    for line in (
        "trials      6",
        "strata      level = 1, 2",
        "rungs       4 of 8",
        "fixed       leak=False, ",
        "nan_at=200, hold=0\n",
        "time        about",
    ):
        assert line in plan
    assert "warning     3 trials per stratum" not in plan
    assert not (tmp_path / "r").exists()


def test_a_finished_sweep_has_nothing_left_to_do(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ledger = Ledger(Folder.at(str(finished / "done" / "ledger")))
    ledger.append(Closed(how="done", time=1.0))
    ledger.close()
    before = {path: path.read_bytes() for path in finished.rglob("*") if path.is_file()}
    with pytest.raises(SystemExit) as ended:
        main(STUDY, "", ["--storage", str(finished), "--resume", "done"])
    assert ended.value.code == 0
    assert (
        capsys.readouterr().out
        == "done is finished: nothing that was asked for is left to do; --trials 14 or --steps 27 extends it\n"
    )
    assert {path: path.read_bytes() for path in finished.rglob("*") if path.is_file()} == before


def test_a_sweep_of_a_newer_version_is_not_gone_on_with(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What it asks for would be dropped in silence."""
    ledger = Ledger(Folder.at(str(tmp_path / "done" / "ledger")))
    ledger.append(Opened(settings=BASE, manifest={}, time=1.0))
    newer = {"type": "opened", "settings": {**BASE.to_dict(), "colour": "red"}, "manifest": {}, "time": 1.0}
    ledger._pending[:] = [lines([newer])]
    ledger.close()
    with pytest.raises(SystemExit) as ended:
        main(STUDY, "", ["--storage", str(tmp_path), "--resume", "done"])
    assert ended.value.code == 2
    said = "error: resume: done was begun by a newer version, and this one does not know its colour\n"
    assert capsys.readouterr().err == said


def test_what_a_driver_owed_when_it_died_at_the_very_end_is_written_by_the_next(
    finished: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("leadline.cpus.usable", lambda: BASE.concurrent)
    ledger = Ledger(Folder.at(str(finished / "done" / "ledger")))
    ledger.append(Closed(how="done", time=1.0))
    ledger.close()
    before = segments.read(Folder.at(str(finished / "done" / "ledger")))
    with pytest.raises(SystemExit) as ended:
        main(STUDY, "", ["--storage", str(finished), "--resume", "done"], replaces=True)
    assert ended.value.code == 0
    assert "best         level 1: trial" in capsys.readouterr().out
    assert (finished / "done" / "report.html").stat().st_size > 10_000
    assert segments.read(Folder.at(str(finished / "done" / "ledger"))) == before


LAPTOP = STUDY.scales["laptop"]


def _of(**scale: Any) -> dict[str, Any]:
    return {"scales": {"laptop": dataclasses.replace(LAPTOP, **scale)}}


def _none(trial: Any, scale: str) -> Any:
    trial.suggest_float("lr", 0.1, 1)


def _exits(trial: Any, scale: str) -> Any:
    sys.exit("no space left")


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"family": "__main__:MINE"}, "family: __main__:MINE is found in no other process"),
        ({"space": _none}, "space: returned None; it must return a dict of fields: is its `return` missing?"),
        ({"space": lambda trial, scale: 1 / 0}, "space: raised ZeroDivisionError: division by zero (test_bad_input.py"),
        ({"space": _exits}, "space: raised sys.exit was called: no space left (test_bad_input.py"),
        ({"space": lambda trial, scale: {"lr": {0.1}}}, "space: lr: a set cannot be recorded"),
        ({"space": "lr"}, "study: space: input should be callable"),
        ({"question": 7}, "study: question: input should be a valid string"),
        ({"name": "a study/of mine"}, "study: name: must be letters, digits"),
        ({"sampler": "grid"}, "study: sampler: "),
        ({"scales": {"laptop": 7}}, "study: scales"),
        ({"shared": lambda strata: {"lr": {1}}}, "study: shared.lr: a set cannot be recorded"),
        ({"shared": lambda strata: None}, "study: shared: returned None; it must return a dict of fields"),
        ({"shared": lambda strata: 1 / 0}, "study: shared: raised ZeroDivisionError: "),
        (
            {"contrasts": (Contrast("1", "2", {"error": cast(Any, {1})}),)},
            "study: contrasts.margins.error: a set cannot",
        ),
        ({"contrasts": (Contrast("1", "2", {"rank": 1.0}),)}, "metric: toy has no 'rank'; it has error"),
        ({"arms": {"1": {"lr": datetime.date(2020, 1, 1)}, "2": {}}}, "study: arms.1.lr: a date cannot be recorded"),
        ({"arms": {"1": {}}}, "study: scales.laptop: strata: no arm '2'; the arms are 1"),
        (_of(fields={"lr": {1}}), "study: scales.laptop.fields.lr: a set cannot be recorded"),
        (_of(fields={"lr": math.nan}), "study: scales.laptop.fields.lr: nan cannot be recorded"),
        (_of(enqueue={1: [{"lr": 0.1}]}), "study: scales.laptop.enqueue: the key 1 is an int; keys must be text"),
        (_of(enqueue={"1": [{"lr": datetime.date(2020, 1, 1)}]}), "study: scales.laptop.enqueue.1.0.lr: a date"),
        (_of(trials="many"), "study: scales.laptop: trials: input should be a valid integer"),
        (_of(strata=()), "study: scales.laptop: strata: at least one, and each once (got none)"),
        (_of(strata=(1, np.int64(1))), "study: scales.laptop: strata: at least one, and each once (got 1, 1)"),
        (_of(strata="all"), "study: scales.laptop: strata: input should be a valid tuple"),
    ],
)
@pytest.mark.parametrize("further", [[], ["--dry-run"]])
def test_what_a_study_cannot_be_is_one_line_before_anything_starts(
    changed: dict[str, Any], words: str, further: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(
            dataclasses.replace(STUDY, **changed), "", ["--storage", str(tmp_path / "r"), "--concurrent", "1", *further]
        )
    said = capsys.readouterr()
    assert (ended.value.code, said.out) == (2, "")
    assert said.err.startswith(f"error: {words}")
    assert said.err.count("\n") == 1
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_numpys_values_in_a_study_mean_what_they_say(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scale = _of(trials=np.int64(4), strata=tuple(np.arange(1, 3)), fields={"offset": np.float32(0.5)})
    words = ["--storage", str(tmp_path / "r"), "--concurrent", "1", "--dry-run"]
    with pytest.raises(SystemExit) as ended:
        main(dataclasses.replace(STUDY, **scale), "", words)
    plan = capsys.readouterr().out
    assert ended.value.code == 0
    assert "trials      4," in plan
    assert "strata      level = 1, 2" in plan


class Odd(Toy):
    """The toy with a method that a test breaks."""


ODD = Odd()


@pytest.mark.parametrize(
    ("method", "broken", "words"),
    [
        (
            "build_data",
            lambda self, config: sys.exit("my data went missing"),
            "build_data: raised sys.exit was called: my",
        ),
        (
            "model",
            lambda self, config: sys.exit(3),
            "checkpoint_bytes: raised sys.exit was called: 3 (test_bad_input.py",
        ),
        ("checkpoint_bytes", lambda self, config: "1 GB", "checkpoint_bytes: expected a number (got a str)"),
        (
            "checkpoint_bytes",
            lambda self, config: -1,
            "checkpoint_bytes: expected a whole number from 0 to 2**63 - 1 (got -1)",
        ),
        (
            "data_key",
            lambda self, config: ("a", 1),
            "data_key: tests.leadline.engine.test_bad_input:ODD's must be text",
        ),
        ("data_key", lambda self, config: 1 / 0, "data_key: raised ZeroDivisionError: division by zero"),
        ("task", lambda self, config, data, device: sys.exit(), "first steps: raised sys.exit was called (test_bad"),
    ],
)
def test_what_a_family_does_before_the_start_is_one_line(
    method: str,
    broken: Any,
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(Odd, method, broken)
    study = dataclasses.replace(STUDY, family="tests.leadline.engine.test_bad_input:ODD")
    with pytest.raises(SystemExit) as ended:
        main(study, "", ["--storage", str(tmp_path / "r"), "--concurrent", "1", "--dry-run"])
    said = capsys.readouterr()
    assert (ended.value.code, said.out) == (2, "")
    assert said.err.startswith(f"error: {words}")
    assert said.err.count("\n") == 1


def test_a_budget_in_samples_needs_whole_samples_of_a_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    study = dataclasses.replace(STUDY, family="tests.leadline.engine.test_bad_input:ODD", budget="samples")
    for given, words in ((0, "must be at least 1 (got 0)"), ("4", "expected a number (got a str)")):
        monkeypatch.setattr(Odd, "samples_per_step", lambda self, config, given=given: given)
        with pytest.raises(SystemExit):
            main(study, "", ["--storage", str(tmp_path / "r"), "--concurrent", "1"])
        error = capsys.readouterr().err
        assert error.startswith("error: samples_per_step: ")
        assert words in error
