"""Export of a sweep as files for other programs: `leadline export SWEEP [--to FOLDER]`.

Each table is written as parquet, which keeps types, and as CSV with the same columns; see
`leadline.analysis.frame` for their meaning. In both, lists of a configuration are text with commas,
and fields whose values are of several types are text.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from leadline.analysis.sweep import Sweep, place
from leadline.analysis.terminal import text
from leadline.command_line import Command
from leadline.config import ConfigError
from leadline.ledger.history import History
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

    tables: dict[str, Callable[[History], pandas.DataFrame]]
    tables = {"trials": frame.table, "reports": frame.reports, "findings": frame.findings, "baselines": frame.baselines}
    written = []
    for name, build in tables.items():
        made = _plain(build(sweep.history))
        buffer = io.BytesIO()
        made.to_parquet(buffer, engine="pyarrow", index=False)
        target.write(f"{name}.parquet", buffer.getvalue())
        target.write(f"{name}.csv", made.to_csv(index=False).encode())
        written += [str(target / f"{name}.parquet"), str(target / f"{name}.csv")]
    return written


def _plain(table: pandas.DataFrame) -> pandas.DataFrame:
    """Returns a copy whose columns are of one type each, which is all that parquet takes."""
    made = table.copy()
    for name in [name for name in made.columns if made[name].dtype == object]:
        kinds = {type(value) for value in made[name] if value is not None}
        if not kinds <= {str} and (len(kinds) > 1 or kinds & {tuple, list, dict}):
            made[name] = [None if value is None else text(value) for value in made[name]]
    return made


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
