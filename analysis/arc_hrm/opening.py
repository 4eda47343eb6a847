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

CELLS, EXACT, INSIDE, NEW = "cells", "exact", "cells_without_pad", "exact_new"


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
    data = _data(sweep)
    first = f"On {data}, a constant" if data else "A constant"
    said = (
        f"{first} that answers PAD everywhere has {number(cells.value)} of the cells right on {split} and "
        f"{number(exact.value)} of the grids; on the log's boards it has {100 * ALL_PAD_ACCURACY:.2f} % of the cells, "
        f"and the log's best network {100 * logged:.2f} %: what a constant has is no limit of capacity."
    )
    history = sweep.history
    trained = [words for stratum in leaderboard.strata(history) if (words := _best(sweep, stratum))]
    return f"{said} Trained here: {'; '.join(trained)}.{_new_rules(sweep)}" if trained else said


def _data(sweep: Sweep) -> str:
    """Returns what was trained on, where that is not ARC itself."""
    trial = next(iter(sweep.history.trials.values()), None)
    config = trial.config if trial else {}
    if config.get("task") != "rules":
        return ""
    rules, size = len(config.get("task_ids") or ()) or config["train_rules"], config.get("grid_size") or config["size"]
    return f"{rules} made-up rules on grids of up to {size}x{size}, not on ARC"


def _new_rules(sweep: Sweep) -> str:
    """Returns what the best of the strata have of rules that none was trained on."""
    strata = leaderboard.strata(sweep.history)
    readings = [scores.confirmed(sweep.history, stratum, NEW) for stratum in strata]
    values = [reading.measure.value for reading in readings if reading]
    if not values:
        return ""
    found = dict.fromkeys(number(value) for value in (min(values), max(values)))
    return f" Of rules that were never trained they have {' to '.join(found)} of the grids."


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
