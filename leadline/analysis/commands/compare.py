"""`leadline compare A B`: two sweeps, or two arms of one, by the confirmed best of each.

leadline compare results/x results/y              every stratum that both have
leadline compare results/x:10 results/x:100       two arms of one sweep
leadline compare A B --margin 0.01                says "no difference" only with such a margin
leadline compare A B --at samples                 validation, where both had seen as many samples
"""

from __future__ import annotations

import argparse
import json
import math
import warnings
from typing import Any

from rich.table import Table
from rich.text import Text

from leadline.analysis.comparison import Finalist, compare
from leadline.analysis.report.answers import interval
from leadline.analysis.sweep import Sweep, place
from leadline.analysis.terminal import console
from leadline.command_line import Command, positive
from leadline.config import ConfigError
from leadline.ledger.leaderboard_table import number
from leadline.ledger.verdicts import Comparison, Side

__all__ = ["COMPARE", "arms", "run", "table"]


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("a", metavar="A", help="SWEEP or SWEEP:STRATUM")
    parser.add_argument("b", metavar="B", help="SWEEP or SWEEP:STRATUM")
    parser.add_argument("--metric", metavar="M", help="name of a metric [A's objective]")
    parser.add_argument("--split", choices=("test", "validation"), help="[test; validation with --at samples or time]")
    parser.add_argument(
        "--margin", type=positive, metavar="X", help="a difference that would not matter, in the metric's unit"
    )
    parser.add_argument(
        "--at", choices=("steps", "samples", "time"), default="steps", help="what is equal in both arms [steps]"
    )
    parser.add_argument("--json", action="store_true", help="one JSON document")


def run(given: argparse.Namespace) -> None:
    """Prints the comparison.

    Raises:
        ConfigError: if the two cannot be compared.
    """
    split = given.split or ("test" if given.at == "steps" else "validation")
    if given.at != "steps" and split == "test":
        raise ConfigError(f"split: test is scored once, at the end; --at {given.at} compares validation")
    found = []
    for a, b in arms(given.a, given.b):
        found.append(compare(a, b, given.metric or a.sweep.settings.metric, split, given.at, given.margin))
    if given.json:
        print(json.dumps([_plain(comparison) for comparison in found], indent=2, allow_nan=False))
        return
    screen = console()
    for comparison in found:
        screen.print(Text(_title(comparison)), table(comparison), "", sep="\n")


def arms(a: str, b: str) -> list[tuple[Finalist, Finalist]]:
    """Returns the pairs to compare.

    They are the two that are named, or those of every stratum that both sweeps have confirmed.

    Raises:
        ConfigError: if there is none, or if both are the same.
        ValueError: if one is no sweep.
    """
    (one, first), (other, second) = _named(a), _named(b)
    if first is not None or second is not None:
        first, second = first or _same(one, second), second or _same(other, first)
    if str(one.folder) == str(other.folder) and first == second:
        raise ConfigError("b: it is the same as A; name two sweeps, or two strata as in SWEEP:10 SWEEP:100")
    if first is not None and second is not None:
        return [(Finalist.of(one, first), Finalist.of(other, second))]
    shared = [(stratum, same) for stratum in one.strata if (same := other.stratum(stratum)) is not None]
    if not shared:
        raise ConfigError(
            f"b: {other.name} has strata {', '.join(other.strata)}, {one.name} has {', '.join(one.strata)}; "
            "name one of each"
        )
    return _confirmed(one, other, shared)


def _confirmed(one: Sweep, other: Sweep, shared: list[tuple[str, str]]) -> list[tuple[Finalist, Finalist]]:
    pairs, problems = [], []
    for first, second in shared:
        try:
            pairs.append((Finalist.of(one, first), Finalist.of(other, second)))
        except ConfigError as error:
            problems.append(error)
    if not pairs:
        raise problems[0]
    for problem in problems:
        warnings.warn(f"left out: {problem}", stacklevel=2)
    return pairs


def _named(text: str) -> tuple[Sweep, str | None]:
    """Returns the sweep and the stratum of SWEEP or SWEEP:STRATUM.

    A URI's own colon divides nothing, and neither does one in a folder's name.
    """
    path, colon, stratum = text.rpartition(":")
    if not colon or "/" in stratum or place(text).exists("ledger"):
        return Sweep.open(text), None
    sweep = Sweep.open(path)
    found = sweep.stratum(stratum)
    if found is None:
        raise ConfigError(f"{text}: no stratum {stratum!r} in {sweep.name}; it has {', '.join(sweep.strata)}")
    return sweep, found


def _same(sweep: Sweep, stratum: str | None) -> str:
    """Returns the stratum of a sweep that was named without one.

    It is that of the other side, or the sweep's only one.

    Raises:
        ConfigError: if neither is possible.
    """
    found = sweep.stratum(stratum)
    if found is not None or len(sweep.strata) == 1:
        return found or sweep.strata[0]
    raise ConfigError(
        f"{sweep.name}: name one of its strata, as in {sweep.name}:{sweep.strata[0]}; it has {', '.join(sweep.strata)}"
    )


def _title(found: Comparison) -> str:
    better = "smaller" if found.mode == "min" else "larger"
    where = "each at the end of its budget" if found.at == "steps" else f"at {found.at}, the most that both reached"
    return f"{found.split}/{found.metric}, {better} is better, {where}"


def table(found: Comparison) -> Table:
    """Returns the comparison for a terminal, a row for each thing to know."""
    assert found.estimate is not None, "two finalists were compared"
    assert found.difference is not None, "two finalists were compared"
    multiplier = f"{found.estimate.multiplier():.2g} standard errors (Bloom 1995)"
    power = f"{number(found.detectable)}: the smallest with 80 % power, two-sided at 5 %: {multiplier}"
    rows = [
        ("A", _side(found.a)),
        ("B", _side(found.b)),
        ("A - B", f"{interval(found.difference)}, 95 %: {found.pairing}"),
        ("detectable", power if found.varies else "not known: nothing varies"),
        *([("margin", _kept(found))] if found.margin is not None else []),
        *(("note", note) for note in found.notes),
        ("verdict", found.sentence),
    ]
    made = Table.grid(padding=(0, 2))
    for name, text in rows:
        made.add_row(Text(name), Text(text))
    return made


def _side(one: Side) -> str:
    return f"{interval(one.measure)}  {one.label}, trial {one.trial}"


def _kept(found: Comparison) -> str:
    """Says whether the difference lies within the margin that was given."""
    low, high = found.narrow or (0.0, 0.0)
    if low == high == 0:
        return f"{found.margin:g}: nothing varies, so there is no interval to lie within it"
    lies = "lies" if found.equivalent else "does not lie"
    return f"{found.margin:g}: the 90 % interval [{number(low)}, {number(high)}] {lies} within it"


def _plain(found: Comparison) -> dict[str, Any]:
    """Returns the comparison as plain JSON values; numbers that are not finite are None."""
    assert found.estimate is not None, "two finalists were compared"

    def finite(value: float) -> float | None:
        return value if math.isfinite(value) else None

    def side(one: Side) -> dict[str, Any]:
        plain = {key: value for key, value in one.measure.to_dict().items() if key != "n"}
        return {"arm": one.label, "trial": one.trial, **plain, "replicates": one.replicates}

    (low, high), (low90, high90) = found.estimate.interval(), found.estimate.interval(0.9)
    numbers = {"difference": found.estimate.value, "low": low, "high": high, "low90": low90, "high90": high90}
    return {
        "metric": f"{found.split}/{found.metric}",
        "mode": found.mode,
        "at": found.at,
        "a": side(found.a),
        "b": side(found.b),
        **{name: finite(value) for name, value in numbers.items()},
        "standard_error": finite(found.estimate.error),
        "detectable": finite(found.detectable),
        "n": found.n,
        "differing": found.differing,
        "resampled": found.pairing,
        "margin": found.margin,
        "ahead": found.ahead or None,
        "equivalent": found.equivalent,
        "claim": not found.missing,
        "verdict": found.sentence,
        "notes": list(found.notes),
    }


COMPARE = Command("the difference between two sweeps or two arms", _arguments, run, __doc__ or "")
