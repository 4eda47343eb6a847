from __future__ import annotations

import csv
import dataclasses
import html
from pathlib import Path
from typing import Any

import pandas
import pyarrow.parquet
import pytest

from leadline import Sweep
from leadline.analysis import frame
from leadline.analysis.columns import BASELINES, COLUMNS, FINDINGS, REPORTS
from leadline.analysis.commands.export import write
from leadline.commands.dispatch import main

Build = Any

TABLES = {"trials": COLUMNS, "reports": REPORTS, "findings": FINDINGS, "baselines": BASELINES}


@pytest.fixture
def exported(finished: Path, tmp_path: Path) -> Path:
    assert main(["export", str(finished), "--to", str(tmp_path / "tables")]) == 0
    return tmp_path / "tables"


def test_every_table_as_parquet_and_csv(exported: Path) -> None:
    assert {path.name for path in exported.iterdir()} == {
        f"{name}.{kind}" for name in TABLES for kind in ("parquet", "csv")
    }
    for name, columns in TABLES.items():
        parquet, csv = pandas.read_parquet(exported / f"{name}.parquet"), pandas.read_csv(exported / f"{name}.csv")
        assert [column for column in parquet.columns if column in columns] == list(columns)
        assert list(parquet.columns) == list(csv.columns)
        assert len(parquet) == len(csv) > 0


def test_trials_say_what_the_ledger_says(exported: Path, finished: Path) -> None:
    history = Sweep.open(finished).history
    table = pandas.read_parquet(exported / "trials.parquet").set_index("trial")
    assert set(table.index) == set(history.trials)
    assert table.loc[0, "config.lr"] == history.trials[0].config["lr"]
    assert list(table["config.layers"][0]) == history.trials[0].config["layers"]
    assert table.loc[3, "status"] == "failed"


def test_reports_hold_metrics_and_facts(exported: Path, finished: Path) -> None:
    history = Sweep.open(finished).history
    table = pandas.read_parquet(exported / "reports.parquet")
    expected = sum(
        len(report.metrics) + len(report.facts) for trial in history.trials.values() for report in trial.reports
    )
    assert len(table) == expected
    last = history.trials[0].reports[-1]
    (row,) = table[(table.trial == 0) & (table.step == last.step) & (table.metric == "validation/hinge")].to_dict(
        "records"
    )
    measure = last.metrics["validation/hinge"]
    assert (row["value"], row["n"], row["low"], row["high"]) == (measure.value, measure.n, measure.low, measure.high)
    assert row["samples"] == last.samples
    (fact,) = table[(table.trial == 0) & (table.step == last.step) & (table.metric == "fact/loss")].to_dict("records")
    assert (fact["value"], fact["n"]) == (last.facts["loss"], 0)


def test_audits_and_oracles_are_marked(exported: Path) -> None:
    findings = pandas.read_parquet(exported / "findings.parquet")
    assert findings.trial.isna().all()
    assert set(findings.guard) == {"overlap"}
    baselines = pandas.read_parquet(exported / "baselines.parquet")
    assert set(baselines[baselines.oracle].name) == {"oracle: steps to 1"}


@pytest.mark.parametrize("below", ["", "/deep/down"])
def test_a_file_in_the_place_of_the_folder(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], below: str
) -> None:
    (tmp_path / "taken").write_text("mine")
    assert main(["export", str(finished), "--to", f"{tmp_path}/taken{below}"]) == 2
    assert capsys.readouterr().err == f"error: to: must be a folder, and {tmp_path}/taken is a file\n"
    assert (tmp_path / "taken").read_text() == "mine"


def test_storage_that_refuses(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", str(finished), "--to", "/proc/none"]) == 2
    assert capsys.readouterr().err.startswith("error: to: cannot write below /proc/none: ")


def test_what_was_spent_is_in_the_unit_of_the_budget(build: Build) -> None:
    made = build(unit="samples", budget=32 * 400, grace=32 * 100, fields={"pool": 64, "batch": 32})
    made.train(2)
    history = Sweep.open(made.close()).history
    table, reports = frame.table(history), frame.reports(history)
    assert set(table.unit) == {"samples"}
    for found in (table, reports):
        assert list(found.spent) == list(found.samples)
        assert list(found.spent) == [32 * step for step in found.step]
    history.opened = dataclasses.replace(history.settings, unit="steps")
    assert list(frame.table(history).spent) == list(table.step)


def test_default_folder_and_an_empty_sweep(build: Build, capsys: pytest.CaptureFixture[str]) -> None:
    folder = build().close()
    assert main(["export", str(folder)]) == 0
    assert capsys.readouterr().out.splitlines()[0] == str(folder / "export" / "trials.parquet")
    for name, columns in TABLES.items():
        assert list(pandas.read_csv(folder / "export" / f"{name}.csv").columns) == list(columns)


def test_fields_of_several_types_are_text(build: Build) -> None:
    made = build()
    made.train(2)
    sweep = Sweep.open(made.close())
    sweep.history.trials[0].config["odd"] = 3
    sweep.history.trials[1].config["odd"] = "three"
    write(sweep, sweep.folder / "tables")
    assert list(pandas.read_parquet(f"{sweep.folder}/tables/trials.parquet")["config.odd"]) == ["3", "three"]


def _with(build: Build, name: str, *values: Any) -> Sweep:
    """A sweep of trials that have these values of a field; None for a trial that lacks it, as an infeasible one may."""
    made = build()
    made.train(len(values))
    sweep = Sweep.open(made.close())
    for trial, value in zip(sweep.history.trials.values(), values, strict=True):
        trial.config |= {} if value is None else {name: value}
    return sweep


def _exported(sweep: Sweep, name: str) -> tuple[list[Any], list[str]]:
    """The field in parquet and in CSV."""
    write(sweep, sweep.folder / "tables")
    parquet = pyarrow.parquet.read_table(f"{sweep.folder}/tables/trials.parquet").to_pydict()
    with open(f"{sweep.folder}/tables/trials.csv", newline="", encoding="utf-8") as file:
        return parquet[f"config.{name}"], [row[f"config.{name}"] for row in csv.DictReader(file)]


def test_a_field_that_a_trial_lacks_leaves_the_others_as_they_are(build: Build) -> None:
    sweep = _with(build, "whole", 2**53 + 1, None)
    assert sweep.table(constants=True)["config.whole"].dtype == "Int64"
    assert _exported(sweep, "whole") == ([2**53 + 1, None], [str(2**53 + 1), ""])


def test_true_and_false_stay_so_beside_a_missing_one(build: Build) -> None:
    sweep = _with(build, "flag", True, None)
    assert sweep.table(constants=True)["config.flag"].dtype == "boolean"
    assert _exported(sweep, "flag") == ([True, None], ["True", ""])


def test_lists_keep_their_digits_and_their_type(build: Build) -> None:
    rates = [[0.12345678901, 1e-300], [1.0]]
    assert _exported(_with(build, "rates", *rates), "rates") == (rates, ["0.12345678901,1e-300", "1.0"])


def test_numbers_among_words_keep_their_digits(build: Build) -> None:
    both = ["0.12345678901", "auto"]
    assert _exported(_with(build, "mixed", 0.12345678901, "auto"), "mixed") == (both, both)


def test_integers_beyond_64_bits_are_text(build: Build) -> None:
    assert _exported(_with(build, "whole", 2**64, 1), "whole") == ([str(2**64), "1"],) * 2
    assert _exported(_with(build, "widths", [2**64], [1]), "widths") == ([str(2**64), "1"],) * 2


def test_a_carriage_return_ends_no_row(build: Build) -> None:
    labels = ["before\rafter", "plain"]
    assert _exported(_with(build, "label", *labels), "label") == (labels, labels)


def test_half_a_surrogate_pair_in_a_traceback(build: Build, capsys: pytest.CaptureFixture[str]) -> None:
    made = build()
    made.director.next()
    made.director.started(0, 1)
    for _ in range(3):
        made.director.failed(0, "Traceback\nFileNotFoundError: 'caf\udce9'")
    folder = made.close()
    assert str(Sweep.open(folder).table().loc[0, "reason"]).endswith("'caf\\udce9'")
    assert main(["export", str(folder)]) == 0
    assert str(pandas.read_parquet(folder / "export" / "trials.parquet").loc[0, "reason"]).endswith("'caf\\udce9'")
    assert main(["report", str(folder)]) == 0
    assert "'caf\\udce9'" in html.unescape((folder / "report.html").read_text())


def test_a_checkpoint_that_is_not_kept_is_not_named(build: Build) -> None:
    made = build()
    made.train(1)
    sweep = Sweep.open(made.close())
    kept = sweep.history.trials[0].reports[-1].checkpoint
    assert sweep.table().loc[0, "checkpoint"] == kept
    assert sweep.leaderboard()["rows"][0]["checkpoint"] == f"trials/0000/{kept}"
    sweep.history.trials[0].retired.add(str(kept))
    assert sweep.table()["checkpoint"].isna().all()
    assert sweep.leaderboard()["rows"][0]["checkpoint"] is None


def test_seconds_are_not_rounded(build: Build) -> None:
    made = build()
    made.train(1)
    sweep = Sweep.open(made.close())
    reports = sweep.history.trials[0].reports
    reports[-1] = dataclasses.replace(reports[-1], seconds=1.23456789)
    assert sweep.leaderboard()["rows"][0]["seconds"] == 1.23456789


def test_reports_of_a_sweep(finished: Path) -> None:
    table = Sweep.open(finished).reports()
    assert list(table.columns) == list(REPORTS)
    curve = table[(table.trial == 0) & (table.metric == "validation/hinge")]
    assert list(zip(curve.step, curve.value, strict=True)) == Sweep.open(finished).trial(0).curve("hinge")
