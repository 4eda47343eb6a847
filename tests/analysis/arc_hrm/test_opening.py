"""How reports open: with what the constant scores."""

from __future__ import annotations

from leadline.analysis.report.document import page
from leadline.analysis.report.opening import opening
from tests.analysis.arc_hrm.sweeps import made, share

SAID = (
    "A constant that answers PAD everywhere has 0.7 of the cells right on test and 0 of the grids; on the log's "
    "boards it has 71.36 % of the cells, and the log's best network 71.36 %: what a constant has is no limit of "
    "capacity."
)


def test_the_constant_stands_first() -> None:
    sweep = made({"session 5": 0.2, "demonstrations": 0.7})
    assert opening(sweep) == (
        f"{SAID} Trained here: session 5 on test 0.2 of the grids, 0.75 of the cells that are not PAD and 0.9 "
        "of all cells; demonstrations on test 0.7 of the grids and 0.75 of the cells that are not PAD, "
        "PAD being no part of its loss."
    )
    first = page(sweep).partition("<header>")[2].partition('class="headline">')[2]
    assert first.startswith("A constant that answers PAD everywhere")


def test_what_was_trained_on_is_said_where_it_is_not_arc() -> None:
    sweep = made({"session 5": 0.2})
    for trial in sweep.history.trials.values():
        trial.config |= {"task": "rules", "task_ids": ["border 1", "border 2"], "grid_size": 4, "size": 8}
        for report in trial.reports:
            report.metrics["test/exact_new"] = share(0.05)
    said = opening(sweep)
    assert said.startswith("On 2 made-up rules on grids of up to 4x4, not on ARC, a constant that answers PAD ")
    assert said.endswith(" Of rules that were never trained they have 0.05 of the grids.")


def test_what_is_not_confirmed_is_on_validation() -> None:
    """The constant's score is on test."""
    said = opening(made({"session 5": 0.2}, replicates=0))
    assert said.endswith(
        "session 5 on validation 0.2 of the grids, 0.75 of the cells that are not PAD and 0.9 of all cells."
    )


def test_before_anything_is_trained() -> None:
    assert opening(made({})) == SAID


def test_boards_without_pad() -> None:
    assert opening(made({"session 5": 0.2}, padding=None)) == ""
