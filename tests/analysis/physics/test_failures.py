"""Where predictions go wrong: the command on a sweep with a real checkpoint."""

from __future__ import annotations

import itertools
import json
import shutil
from pathlib import Path

import pytest
import torch

from analysis.physics.failures import Failures, failures
from leadline.analysis.sweep import Sweep
from leadline.commands.dispatch import main
from tests.analysis.trained_sweep import trained_sweep
from tests.trainables.physics.conftest import SMALL
from trainables.physics.family import PHYSICS

CONFIG = PHYSICS.config(SMALL)


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> str:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("results") / "demo"
    return str(trained_sweep(folder, PHYSICS, [CONFIG], PHYSICS.build_data(CONFIG)))


@pytest.fixture(scope="module")
def found(sweep: str) -> Failures:
    return failures(Sweep.open(sweep).trial(0), CONFIG)


def test_skills_are_those_that_the_task_reports(sweep: str, found: Failures) -> None:
    data = PHYSICS.build_data(CONFIG)
    task = PHYSICS.task(CONFIG, data, torch.device("cpu"))
    task.model.load_state_dict(Sweep.open(sweep).trial(0).load().state_dict())
    reported = task.evaluate("test")
    regimes = {line.label: line for line in found.bins if line.by == "regime"}
    assert regimes["inside"].skill == pytest.approx(reported["skill"].value, rel=1e-4)
    assert regimes["upwards"].skill == pytest.approx(reported["skill_upwards"].value, rel=1e-4)


def test_bins_add_up(found: Failures) -> None:
    groups = {by: list(lines) for by, lines in itertools.groupby(found.bins, key=lambda line: line.by)}
    inside = groups["regime"][0]
    assert sum(line.windows for line in groups["contacts"]) == inside.windows
    total = sum(line.error.value for line in groups["frame"]) / len(groups["frame"])
    assert len(groups["frame"]) == CONFIG.horizon
    assert total == pytest.approx(inside.error.value, rel=1e-4)


def test_the_worst_windows_come_first(found: Failures) -> None:
    values = [one.error for one in found.worst]
    assert len(values) == 10
    assert values == sorted(values, reverse=True)
    assert values[0] > max(line.error.value for line in found.bins if line.by == "regime")


def test_the_table_fits_and_json_is_whole(
    sweep: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    assert main(["failures", sweep, "0"]) == 0
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 100
    assert "demo, trial 0" in out
    assert main(["failures", sweep, "0", "--json"]) == 0
    assert {"trial", "bins", "worst"} == set(json.loads(capsys.readouterr().out))


def test_bad_words_are_refused(sweep: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["failures", sweep, "7"]) == 2
    assert capsys.readouterr().err.startswith("error: trial: demo has no trial 7")
    bare = tmp_path / "demo"
    shutil.copytree(sweep, bare, ignore=shutil.ignore_patterns("trials"))
    assert main(["failures", str(bare), "0"]) == 2
    assert "error: trial 0: no intact checkpoint at " in capsys.readouterr().err
