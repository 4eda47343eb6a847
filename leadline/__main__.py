"""Looks at sweeps, also while they run; trains single configurations; begins new families.

    leadline list [RESULTS] [--json]                  the sweeps of a folder
    leadline leaderboard SWEEP [--json] [--top N]     trials ranked within each stratum, baselines,
                                                      confirmed finalists
    leadline report SWEEP [--output FILE] [--price X]
                                                      one self-contained HTML page
    leadline compare A B [--margin X]                 the difference between two sweeps, or two
                                                      strata SWEEP:10 SWEEP:100
    leadline trial SWEEP NUMBER [--json]              configuration, curve, attempts and checkpoints
                                                      of one trial
    leadline log SWEEP NUMBER [--follow]              what a trial has logged and printed, of all
                                                      attempts; also as it comes
    leadline validate CHECKPOINT [--device cuda]      whether a checkpoint scores here what its
                                                      record says, unit by unit
    leadline predict SWEEP NUMBER INPUT               a trained model's answer to an input
                                                      (of a checkpoint: predict FOLDER INPUT)
    leadline rehearse SWEEP|STUDY [--what-if NAME=VALUES]
                                                      what other choices would have changed, or
                                                      what a study would cost and find
    leadline note SWEEP NUMBER [TEXT]                 a note on a trial, or the notes that it has
    leadline export SWEEP [--to FOLDER]               trials, reports, findings and baselines as
                                                      parquet and CSV
    leadline dashboard SWEEP [--to FILE]              a file for optuna-dashboard, and how to open
                                                      it and TensorBoard
    leadline stop SWEEP                               asks the driver of a running sweep to end,
                                                      resumable, wherever it runs
    leadline doctor SWEEP [--json]                    what is wrong with a sweep's files, and what
                                                      can be done; read-only
    leadline gc SWEEP [--dry-run]                     removes checkpoints that nobody needs, and
                                                      what was cut off

    leadline train FAMILY [field=value ...]           one configuration in this process, without Ray
    leadline families [NAME]                          the families that are installed, and what each
                                                      brings
    leadline new family NAME                          begins a family: working files, with tests, to
                                                      change

A family brings commands of its own, which take a sweep of it: leadline ablation SWEEP 7.
`leadline families NAME` lists them, `leadline COMMAND --help` explains one. RESULTS and SWEEP are
folders or s3:// gs:// URIs. Exit code 0, 1 where `doctor` finds damage, `validate` a change or
`stop` no end, 2 with one line on stderr, 130 when interrupted.

Completion in the shell: eval "$(register-python-argcomplete leadline)"
"""

from __future__ import annotations

import os
import sys
from typing import NoReturn

from leadline.commands.dispatch import main
from leadline.standard_streams import open_closed

__all__ = ["run"]


def run(*before: str) -> NoReturn:
    """Runs the process's command line and ends the process.

    Args:
        before: words that stand before those of the command line.
    """
    open_closed()
    if "_ARGCOMPLETE" in os.environ:
        from leadline.commands.completion import complete

        complete()
    code = main([*before, *sys.argv[1:]], __doc__)
    from leadline.storage import leave  # pyarrow, which `--help` does not need

    leave(code)


if __name__ == "__main__":
    run()
