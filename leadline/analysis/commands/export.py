"""Export of a sweep as files for other programs: `leadline export SWEEP [--to FOLDER]`.

Each table is written as parquet, which keeps types, and as CSV with the same columns; see
`leadline.analysis.columns` for their meaning. The table of trials has every field as a column. A
field whose values are of several types is text in both. Lists are lists in parquet, where they hold
values of one type, and text with commas in CSV. CSV has text in quotation marks, and `""` where
there is no value.
"""

from __future__ import annotations

import argparse
import csv
import io
import itertools
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leadline import plain
from leadline.analysis.sweep import Sweep, place
from leadline.command_line import Command
from leadline.config import ConfigError, as_text
from leadline.storage import Folder

if TYPE_CHECKING:
    import pandas

__all__ = ["EXPORT", "write"]


def write(sweep: Sweep, target: Folder) -> list[str]:
    """Writes trials, reports, findings and baselines, and returns the files' paths or URIs.

    Raises:
        OSError: if the storage refuses.
    """
    from leadline.analysis import frame

    history = sweep.history
    tables = {
        "trials": frame.table(history, constants=True),
        "reports": frame.reports(history),
        "findings": frame.findings(history),
        "baselines": frame.baselines(history),
    }
    written = []
    for name, made in tables.items():
        buffer = io.BytesIO()
        _plain(made, lists=True).to_parquet(buffer, engine="pyarrow", index=False)
        target.write(f"{name}.parquet", buffer.getvalue())
        # All text is quoted: a lone carriage return would not be, and readers end a row there.
        written_out = _plain(made, lists=False).to_csv(index=False, quoting=csv.QUOTE_NONNUMERIC)
        target.write(f"{name}.csv", written_out.encode())
        written += [str(target / f"{name}.parquet"), str(target / f"{name}.csv")]
    return written


def _plain(table: pandas.DataFrame, lists: bool) -> pandas.DataFrame:
    """Returns a copy whose columns are of one type each; `lists` says whether lists are one."""
    import pandas

    made = table.copy()
    for name in [name for name in made.columns if made[name].dtype == object]:
        if not (lists and _alike(made[name])):
            words = [None if value is None else plain.text(as_text(value), name) for value in made[name]]
            made[name] = pandas.Series(words, dtype="str")
    return made


def _alike(values: Iterable[Any]) -> bool:
    """Returns whether all values that are there are lists of plain values of one type."""
    from leadline.analysis.frame import one_type

    present = [value for value in values if value is not None]
    if not all(isinstance(value, tuple) for value in present):
        return False
    return one_type(itertools.chain(*present)) in (bool, int, float, str)


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("sweep", metavar="SWEEP", help="folder or URI of a sweep")
    parser.add_argument("--to", metavar="FOLDER", help="folder or URI to write to [export in the sweep's folder]")


def _export(given: argparse.Namespace) -> None:
    sweep = Sweep.open(given.sweep)
    target = place(given.to) if given.to else sweep.folder / "export"
    try:
        written = write(sweep, target)
    except OSError as error:
        raise ConfigError(f"to: {_file(target) or f'cannot write below {target}: {error.strerror or error}'}") from None
    print("\n".join(written))


def _file(target: Folder) -> str:
    """Returns what is wrong where a file stands in the place of a folder; empty otherwise.

    That folder is the target or one above it.
    """
    above = [Path(target.path), *Path(target.path).parents] if target.local else []
    return next((f"must be a folder, and {path} is a file" for path in above if path.is_file()), "")


EXPORT = Command("trials, reports, findings and baselines as parquet and CSV", _arguments, _export)
