"""What is imported where: it is the greater part of the time in which a trial's processes start."""

from __future__ import annotations

from tests.conftest import ROOT, command


def test_a_channel_needs_no_torch_and_a_ledgers_view_no_boto3() -> None:
    program = (
        "import sys, leadline.engine.ray.channel, leadline.ledger.tensorboard\n"
        "print([name for name in ('torch', 'optuna', 'pandas', 'tensorboardX', 'boto3') if name in sys.modules])"
    )
    run = command("-c", program, PYTHONPATH=str(ROOT))
    assert run.stdout == "[]\n", run.stderr
