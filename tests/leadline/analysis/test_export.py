from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pandas
import pytest

from leadline import Sweep
from leadline.analysis import frame
from leadline.commands.dispatch import main

Build = Any

TABLES = {"trials": frame.COLUMNS, "reports": frame.REPORTS, "findings": frame.FINDINGS, "baselines": frame.BASELINES}


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
        assert list(parquet.columns)[: len(columns)] == list(columns)
        assert list(parquet.columns) == list(csv.columns)
        assert len(parquet) == len(csv) > 0


def test_trials_say_what_the_ledger_says(exported: Path, finished: Path) -> None:
    history = Sweep.open(finished).history
    table = pandas.read_parquet(exported / "trials.parquet").set_index("trial")
    assert set(table.index) == set(history.trials)
    assert table.loc[0, "config.lr"] == history.trials[0].config["lr"]
    assert table.loc[0, "config.layers"] == ",".join(map(str, history.trials[0].config["layers"]))
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
    from leadline.analysis.commands.export import write

    write(sweep, sweep.folder / "tables")
    assert list(pandas.read_parquet(f"{sweep.folder}/tables/trials.parquet")["config.odd"]) == ["3", "three"]


def test_reports_of_a_sweep(finished: Path) -> None:
    table = Sweep.open(finished).reports()
    assert list(table.columns) == list(frame.REPORTS)
    curve = table[(table.trial == 0) & (table.metric == "validation/hinge")]
    assert list(zip(curve.step, curve.value, strict=True)) == Sweep.open(finished).trial(0).curve("hinge")
