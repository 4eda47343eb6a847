"""A sweep for Optuna's dashboard: `leadline dashboard SWEEP` writes what optuna-dashboard reads.

It says how to open it and the sweep's TensorBoard files. The two programs are not among the
dependencies: `pip install optuna-dashboard tensorboard`.

The file is an Optuna journal with one study per stratum. It is computed from the ledger: writing it
again replaces it.
"""

from __future__ import annotations

import argparse
import shlex
import tempfile
from pathlib import Path

from leadline.analysis.sweep import Sweep
from leadline.command_line import Command, local_path
from leadline.config import ConfigError

__all__ = ["DASHBOARD", "journal"]

FILE = "optuna-journal.log"
INSTALL = "pip install optuna-dashboard tensorboard"


def journal(sweep: Sweep) -> bytes:
    """Returns the content of an Optuna journal file with a study for each stratum.

    A study is named after the sweep and the stratum, and holds the stratum's ended trials.
    """
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    from leadline.analysis.optuna_study import study, study_name

    with tempfile.TemporaryDirectory(prefix="leadline-optuna-") as scratch:
        path = Path(scratch) / FILE
        storage = JournalStorage(JournalFileBackend(str(path)))
        for stratum in sweep.strata:
            study(sweep.history, stratum, storage=storage, name=study_name(sweep.history, stratum, sweep.name))
        return path.read_bytes()


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("sweep", metavar="SWEEP", help="folder or URI of a sweep")
    parser.add_argument(
        "--to", type=local_path, metavar="FILE", help=f"where to write the journal [{FILE} in the sweep's folder]"
    )


def _dashboard(given: argparse.Namespace) -> None:
    sweep = Sweep.open(given.sweep)
    path = _target(sweep, given.to)
    if path.is_dir():
        raise ConfigError(f"to: {path} is a folder; name a file")
    try:
        path.write_bytes(journal(sweep))
    except OSError as error:
        raise ConfigError(f"to: cannot write {path}: {error.strerror}") from None
    print(f"optuna-dashboard {shlex.quote(str(path.absolute()))}")
    if sweep.folder.exists("tensorboard"):
        print(f"tensorboard --logdir {shlex.quote(str(sweep.folder / 'tensorboard'))}")
    print(f"# the two programs are installed by: {INSTALL}")


def _target(sweep: Sweep, given: Path | None) -> Path:
    if given is not None:
        return given
    if not sweep.folder.local:
        raise ConfigError(f"to: name a local file, since optuna-dashboard reads no journal from {sweep.folder}")
    return Path(sweep.folder.path) / FILE


_HELP = "writes what Optuna's dashboard reads, and says how to open it and TensorBoard"
DASHBOARD = Command(_HELP, _arguments, _dashboard, f"{_HELP}; both are installed by: {INSTALL}")
