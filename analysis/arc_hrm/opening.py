"""How reports of the family open: with the constant's score, which is the log's headline."""

from __future__ import annotations

from leadline.analysis import scores
from leadline.analysis.report.opening import untrained
from leadline.analysis.scores import Reading
from leadline.analysis.sweep import Sweep
from leadline.ledger import leaderboard
from leadline.ledger.leaderboard_table import number
from leadline.measure import Measure
from trainables.arc_hrm.baselines import ALL_PAD
from trainables.arc_hrm.presets import ALL_PAD_ACCURACY, LOGGED_RESULTS

__all__ = ["constant", "opening"]

CELLS, EXACT, INSIDE = "cells", "exact", "cells_without_pad"


def constant(sweep: Sweep) -> tuple[str, Measure, Measure] | None:
    """Returns a split with the constant's cells and grids; None where labels have no PAD."""
    for split in ("test", "validation"):
        for line in sweep.history.baselines:
            cells, exact = (line.metrics.get(f"{split}/{name}") for name in (CELLS, EXACT))
            if line.name == ALL_PAD and cells and exact:
                return split, cells, exact
    return None


def opening(sweep: Sweep) -> str:
    """Returns what the constant scores, beside the log's best and each stratum's best here."""
    found = constant(sweep)
    if found is None:
        return untrained(sweep)
    split, cells, exact = found
    logged = LOGGED_RESULTS["session5"].cells
    said = (
        f"A constant that answers PAD everywhere has {number(cells.value)} of the cells right on {split} and "
        f"{number(exact.value)} of the grids; on the log's boards it has {100 * ALL_PAD_ACCURACY:.2f} % of the cells, "
        f"and the log's best network {100 * logged:.2f} %: what a constant has is no limit of capacity."
    )
    history = sweep.history
    trained = [words for stratum in leaderboard.strata(history) if (words := _best(sweep, stratum))]
    return f"{said} Trained here: {'; '.join(trained)}." if trained else said


def _best(sweep: Sweep, stratum: str) -> str:
    """Returns the grids and cells of a stratum's best, and of which split; empty without any."""
    readings = _readings(sweep, stratum)
    if not readings:
        return ""
    grids, inside, *cells = (number(reading.measure.value) for reading in readings)
    first = f"{stratum} on {readings[0].split} {grids} of the grids"
    said = f"{inside} of the cells that are not PAD"
    if not cells or readings[0].trial.config.get("pad") == "ignored":
        return f"{first} and {said}, PAD being no part of its loss"
    return f"{first}, {said} and {cells[0]} of all cells"


def _readings(sweep: Sweep, stratum: str) -> list[Reading]:
    """Returns grids, cells without PAD and, where PAD is asked for, all cells; or none.

    All are on test if they are confirmed.
    """
    for read in (scores.confirmed, scores.chosen):
        found = [one for name in (EXACT, INSIDE, CELLS) if (one := read(sweep.history, stratum, name))]
        if len(found) > 1:
            return found
    return []
