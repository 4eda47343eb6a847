"""Says whether this tree does what a base commit does: every study on every family, event for event.

    python -m tests.same --base HEAD~1                      or make same BASE=HEAD~1
    python -m tests.same --base HEAD~1 --rtol 1e-5          floating-point numbers may differ by that much
    python -m tests.same --base HEAD~1 --only lookahead:trm

Both trees run `python sweeps/NAME.py --family F --scale smoke --concurrent 1` with the same seed. The
base gets its own environment, below .same/, where its ledgers are kept too, so that another comparison
with it runs this tree alone. Both ledgers are read by this tree's code, which brings them to today's
schema. A field whose value would be measured by the clock (micro_batch=auto) is fixed on both command
lines, as two runs of the same code would differ in it.

Exit code: 0 nothing differs, 1 something does, 2 bad input, 130 interrupted.
"""

from __future__ import annotations

import argparse
import math
import shutil
import sys
import tempfile
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from leadline.ledger.segments import LedgerError, read
from leadline.storage import Folder
from tests.same.compare import compare
from tests.same.events import LEFT_OUT, Event, comparable, disturbances, measured_micro_batches
from tests.same.trees import SWEEP, BadInput, Pair, Run, Tree, base_run, base_tree, this_tree

__all__ = ["main"]

SHOWN = 10
"""Differences of a pair that are shown."""
TRIES = 3
"""How often a command is run at most where the machine disturbs it, see `disturbances`."""
INSTEAD = {"micro_batch": "1/2"}
"""The value of a field that a study would measure: half the batch, so that gradients are still summed."""


@dataclass(frozen=True)
class Outcome:
    """What was found for a pair.

    Attributes:
        pair: the study and the family.
        events: how many were compared.
        differences: all of them, in words.
        remarks: what else its reader should know.
        seconds: those of the base's run and of this tree's; None for a run that was kept from before.
    """

    pair: Pair
    events: int
    differences: list[str]
    remarks: list[str]
    seconds: tuple[float | None, float | None]


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise BadInput(message.removeprefix("argument ").removeprefix("--"))


def _relative(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number < 1:
        raise argparse.ArgumentTypeError(f"must be a number from 0 to below 1 (got {text!r})")
    return number


def _pair(text: str) -> tuple[str, str]:
    study, _, family = text.partition(":")
    return study, family


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = _Parser(
        prog="python -m tests.same",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--base", metavar="COMMIT", help="the commit to compare with")
    parser.add_argument("--rtol", type=_relative, default=0.0, metavar="X", help="how far numbers may differ [0]")
    parser.add_argument(
        "--only",
        type=_pair,
        action="append",
        default=[],
        metavar="STUDY[:FAMILY]",
        help="compare this alone; may be repeated",
    )
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="seed of every sweep [1]")
    parser.add_argument(
        "--here",
        default="",
        metavar="WORDS",
        help="words for this tree's commands alone, as --here='--scheduler asha'",
    )
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep both sides' ledgers and outputs there")
    parser.add_argument("--base-python", metavar="PATH", help="a Python that has its dependencies")
    parser.add_argument("--again", action="store_true", help="run the base too, whatever was kept of it")
    parsed = parser.parse_args(arguments)
    if not parsed.base:
        raise BadInput("base: say which commit to compare with, as in make same BASE=HEAD~1")
    if parsed.base_python and not (python := shutil.which(parsed.base_python)):
        raise BadInput(f"base-python: no program {parsed.base_python}")
    if parsed.base_python:
        parsed.base_python = str(Path(python).absolute())  # unresolved: an environment's Python is a link
    return parsed


def pairs_of(studies: dict[str, dict[str, list[str]]]) -> dict[Pair, list[str]]:
    """Every study with each of its families, and the fields that it would measure by the clock."""
    return {Pair(study, family): fields for study, families in studies.items() for family, fields in families.items()}


def wanted(pairs: Sequence[Pair], only: Sequence[tuple[str, str]]) -> list[Pair]:
    """The pairs that `--only` leaves.

    Raises:
        BadInput: if it names what is not there.
    """
    for study, family in only:
        if not any(pair.study == study and family in ("", pair.family) for pair in pairs):
            raise BadInput(f"only: no {study}{':' if family else ''}{family}; there are {', '.join(map(str, pairs))}")
    return [pair for pair in pairs if not only or (pair.study, pair.family) in only or (pair.study, "") in only]


def _events(run: Run, name: str) -> tuple[list[Event], list[str]]:
    """The events of a run, none where it has left no ledger; and that in words."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a damaged tail, whose events are then missing
        try:
            return [event.to_dict() for event in read(Folder.at(str(run.folder)) / "ledger")], []
        except LedgerError:
            return [], [f"{name} left no ledger (exit code {run.code}): {run.last_words}"]


def judge(pair: Pair, base: tuple[Run, Path], here: tuple[Run, Path], rtol: float, fixed: Sequence[str]) -> Outcome:
    """Compares two runs; each comes with the root of its tree."""
    found: list[str] = []
    sides, remarks = [], [f"{field}: measured by the clock, so it was fixed for the comparison" for field in fixed]
    for name, (run, root) in (("base", base), ("this tree", here)):
        events, problems = _events(run, name)
        found += problems
        if measured := measured_micro_batches(events):
            remarks.append(f"{name}: micro_batch=auto was measured in trials {measured}: equal runs may differ")
        if run.code:
            remarks.append(f"{name}: exit code {run.code}: {run.last_words}")
        sides.append(comparable(events, {str(run.folder): "<sweep>", str(root): "<tree>"}))
    if base[0].code != here[0].code:
        found.append(f"exit code: base {base[0].code}, here {here[0].code}")
    found += map(str, compare(sides[0], sides[1], rtol))
    count = max(len(side.ordered) + len(side.unordered) for side in sides)
    return Outcome(pair, count, found, remarks, (base[0].seconds, here[0].seconds))


def _cells(outcome: Outcome) -> tuple[str, ...]:
    seconds = ["kept" if one is None else f"{one:.0f} s" for one in outcome.seconds]
    return outcome.pair.study, outcome.pair.family, str(outcome.events), str(len(outcome.differences)), *seconds


def _table(outcomes: Sequence[Outcome]) -> str:
    rows = [("study", "family", "events", "differences", "base", "here"), *map(_cells, outcomes)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [[cell.ljust(width) for cell, width in zip(row, widths, strict=True)] for row in rows]
    return "\n".join("  ".join(line).rstrip() for line in lines)


@dataclass(frozen=True)
class _Sides:
    """Both trees.

    Attributes:
        base: the base's tree.
        folder: what is kept of the base.
        packages: what is installed for the base's Python.
        here: this tree.
        scratch: folder for this tree's runs, and for copies of the base's where these are asked for.
    """

    base: Tree
    folder: Path
    packages: Sequence[str]
    here: Tree
    scratch: Path


def _compare(parsed: argparse.Namespace, scratch: Path) -> int:
    here = this_tree()
    base, folder = base_tree(parsed.base, parsed.base_python)
    asked_base, asked_here = base.ask(), here.ask()
    ours, theirs = pairs_of(asked_here["studies"]), pairs_of(asked_base["studies"])
    every = wanted(list(dict.fromkeys([*theirs, *ours])), parsed.only)
    both = [pair for pair in every if pair in ours and pair in theirs]
    gone = [pair for pair in every if pair not in ours]
    for pair in gone:
        print(f"{pair}: only in the base, which counts as a difference")
    for pair in every:
        if pair not in theirs:
            print(f"{pair}: new here, nothing to compare with")
    sides = _Sides(base, folder, asked_base["packages"], here, scratch)
    outcomes = [_run(pair, sides, {*ours[pair], *theirs[pair]}, parsed) for pair in both]
    if not outcomes:
        raise BadInput("only: nothing is left that both sides have")
    print(f"\n{_table(outcomes)}\n")
    print(f"not compared: {', '.join(LEFT_OUT)}")
    differ = sum(len(one.differences) for one in outcomes)
    print(f"{differ} differences in {len(outcomes)} pairs{f'; {len(gone)} pairs are gone' if gone else ''}")
    return 1 if differ or gone else 0


def _run(pair: Pair, sides: _Sides, fields: set[str], parsed: argparse.Namespace) -> Outcome:
    """Runs a pair on both sides, and says at once what differs."""
    if unknown := fields - INSTEAD.keys():
        raise BadInput(f"{pair}: measures {', '.join(sorted(unknown))} by the clock; INSTEAD lacks it")
    fixed = [f"{name}={INSTEAD[name]}" for name in sorted(fields)]
    name, seed = f"{pair.study}-{pair.family}", parsed.seed

    def run_base(tried: int) -> Run:
        again = bool(parsed.again or tried)
        return base_run(sides.base, pair, seed, fixed, folder=sides.folder, packages=sides.packages, again=again)

    def run_here(tried: int) -> Run:
        return sides.here.run(pair, seed, [*parsed.here.split(), *fixed], sides.scratch / "here" / name)

    print(f"{pair} ...", flush=True)
    base, here = _undisturbed("base", run_base), _undisturbed("this tree", run_here)
    if parsed.keep:
        shutil.copytree(base.folder.parent, sides.scratch / "base" / name, dirs_exist_ok=True)
    outcome = judge(pair, (base, sides.base.root), (here, sides.here.root), parsed.rtol, fixed)
    for remark in outcome.remarks:
        print(f"  note: {remark}")
    for difference in outcome.differences[:SHOWN]:
        print(f"  {pair}: {difference}")
    if len(outcome.differences) > SHOWN:
        print(f"  {pair}: and {len(outcome.differences) - SHOWN} more")
    sys.stdout.flush()
    return outcome


def _undisturbed(name: str, run: Callable[[int], Run]) -> Run:
    """A run that the machine did not disturb, or the last of `TRIES`; `run` is told the tries before."""
    for tried in range(TRIES):
        found = run(tried)
        disturbed = disturbances(_events(found, name)[0])
        if not disturbed:
            break
        then = "run again" if tried + 1 < TRIES else "compared as it is"
        print(f"  note: {name}: the machine disturbed it ({'; '.join(disturbed)}): {then}", flush=True)
    return found


def main(arguments: Sequence[str]) -> int:
    """Runs the command line; returns the exit code."""
    try:
        parsed = _parse(arguments)
        if parsed.keep:
            return _compare(parsed, parsed.keep.absolute())
        with tempfile.TemporaryDirectory(prefix=f"{SWEEP}-", ignore_cleanup_errors=True) as scratch:
            return _compare(parsed, Path(scratch))
    except BadInput as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
