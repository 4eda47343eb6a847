"""The notebook of analysis/ runs, in a kernel of its own, on a sweep that was really trained."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from leadline import Sweep
from leadline.storage import Folder
from tests.conftest import ROOT
from tests.leadline.engine.test_director import BASE
from tests.leadline.in_process_sweep import play

NOTEBOOK = ROOT / "analysis" / "open_a_sweep.ipynb"


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep of lines; not to be written to."""
    folder = tmp_path_factory.mktemp("played") / "lines"
    settings = dataclasses.replace(
        BASE,
        family="tests.plugin.line.family:LINE",
        metric="mse",
        stratify="batch",
        strata=(8, 32),
        trials=4,
        budget=6,
        grace=2,
        startup=2,
        confirm=0,
        scheduler="none",
    )
    play(Folder.at(str(folder)), settings, lambda trial, scale: {"lr": trial.suggest_float("lr", 0.01, 0.3, log=True)})
    return folder


def test_it_is_kept_without_outputs() -> None:
    kept = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(kept)
    assert [cell.outputs for cell in kept.cells if cell.cell_type == "code" and cell.outputs] == []


def test_it_runs_from_the_sweep_to_an_answer(sweep: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEADLINE_SWEEP", str(sweep))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    run = NotebookClient(
        nbformat.read(NOTEBOOK, as_version=4), timeout=120, resources={"metadata": {"path": str(sweep)}}
    )
    done = run.execute()
    outputs = {cell.id: cell.outputs for cell in done.cells if cell.cell_type == "code"}
    assert {name: len(found) for name, found in outputs.items()} == dict.fromkeys(outputs, 1)
    shown = {name: found.data for name, (found,) in outputs.items()}
    opened = Sweep.open(sweep)
    best = opened.best(batch=8)
    assert shown["open"]["text/html"] == opened._repr_html_()
    assert "config.lr" in shown["table"]["text/html"]
    for name in ("curve", "searched"):
        traces = shown[name]["application/vnd.plotly.v1+json"]["data"]
        assert len(traces) == 2
        assert all(len(trace["x"]) for trace in traces)
    assert shown["checkpoint"]["text/plain"] == f"<Checkpoint {best.checkpoint().name}: line>"
    assert shown["predict"]["text/plain"] == repr((0.5, best.predict(0.5)))
