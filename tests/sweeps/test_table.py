from __future__ import annotations

import io

import pytest
from rich.console import Console

from sweeps.ledger.table import leaderboard_table
from tests.sweeps.test_director import BASE, Simulation


@pytest.mark.parametrize("width", [80, 120, 160])
def test_no_value_is_cut_off_on_any_terminal(width: int) -> None:
    history = Simulation(BASE).run().director.history
    console = Console(width=width, file=io.StringIO())
    console.print(leaderboard_table(history, "toy", 2, width))
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "…" not in shown
    for heading in ("trial", "value", "n", "step", "confirmed", "best trivial on test"):
        assert heading in shown
    assert max(map(len, shown.splitlines())) <= width
