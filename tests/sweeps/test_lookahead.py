"""The study lookahead on the command line: bad fields, and its plan; nothing is started."""

from __future__ import annotations

from pathlib import Path

import pytest

from sweeps.lookahead import STUDY as LOOKAHEAD
from tests.leadline.engine.test_bad_input import main


@pytest.mark.parametrize("value", ["lookahead=0", "batch=0", "lr=-0.1", "margin=nan", "layers=0", "features=none"])
def test_fields_of_the_first_family(value: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(LOOKAHEAD, "", [value, "--storage", str(tmp_path)])
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith(f"error: {value.split('=')[0]}")


def test_rows_that_the_workers_cannot_share_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(
            LOOKAHEAD,
            "",
            ["--storage", str(tmp_path), "--workers-per-trial", "2", "--cpus-per-trial", "0.5", "batch=3"],
        )
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("error: batch: 3 rows cannot be shared by 2 workers")


def test_a_dry_run_prints_the_plan_and_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(LOOKAHEAD, "", ["--dry-run", "--scale", "smoke", "--storage", str(tmp_path / "r"), "layers=8"])
    plan = capsys.readouterr().out
    assert ended.value.code == 0
    for line in (
        "trials      6",
        "strata      lookahead = 10, 100",
        "rungs       10, 30 of 90",
        "fixed       skip=True, ",
        "common=100, layers=8\n",
        "time        about",
    ):
        assert line in plan
    assert "warning     3 trials per stratum" not in plan
    assert not (tmp_path / "r").exists()
