"""Scripts that have used torch with several threads before they run a study."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import ROOT, command

FAMILY = """
import torch
from tests.leadline.toy import Toy

class Wide(Toy):
    def model(self, config):
        torch.nn.init.trunc_normal_(torch.empty(512, 512))  # waits for OpenMP's threads, where it has several
        return super().model(config)

WIDE = Wide()
"""
STUDY = """
import dataclasses
import torch
torch.set_num_threads(2)
torch.nn.init.trunc_normal_(torch.empty(512, 512))
from leadline import main
from tests.leadline.toy_study import STUDY
print("script", flush=True)

def run():
    main(dataclasses.replace(STUDY, family="wide:WIDE"))

if __name__ == "__main__":
    run()
"""


@pytest.mark.parametrize(("script", "runs"), [("study.py", 2), ("caller.py", 1)])
def test_the_driver_does_not_wait_for_threads_that_it_does_not_have(script: str, runs: int, tmp_path: Path) -> None:
    """Where another module calls, the script may not come to the call again: it has one thread."""
    (tmp_path / "wide.py").write_text(FAMILY)
    (tmp_path / "study.py").write_text(STUDY)
    (tmp_path / "caller.py").write_text("import study\nstudy.run()\n")
    path = f"{ROOT}:{tmp_path}"
    run = command(script, "--dry-run", "--cpus-per-trial", "2", cwd=tmp_path, PYTHONPATH=path, OMP_NUM_THREADS="2")
    if "more than the 1 CPU" in run.stderr:
        pytest.skip("needs two CPUs")
    assert run.returncode == 0, run.stderr
    assert run.stdout.count("script\n") == runs
    assert "first proposals" in run.stdout
