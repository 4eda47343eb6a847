"""The command that questions a network trained on grids, of whichever family.

leadline failures SWEEP [NUMBER]     where its answers are wrong: shape or content
"""

from __future__ import annotations

import argparse

from analysis import page
from analysis.questions import opened, show, trial_arguments
from leadline.command_line import Command, count, local_path, whole

__all__ = ["FAILURES"]

FAMILIES = ("etrm", "trm", "hrm", "arc_hrm")


def _arguments(parser: argparse.ArgumentParser) -> None:
    trial_arguments(parser, "etrm, trm, hrm or arc_hrm", best=True)
    parser.add_argument(
        "--split", choices=("validation", "test"), default="test", help="whose boards are answered [%(default)s]"
    )
    parser.add_argument(
        "--votes",
        type=whole,
        metavar="K",
        help="images of each board that vote for pass@1 and pass@2 [the trial's own]",
    )
    parser.add_argument("--figure", type=local_path, metavar="FILE", help="also draw wrong answers, as an HTML file")
    parser.add_argument(
        "--worst",
        type=count,
        default=8,
        metavar="N",
        help="tasks that are drawn, or families of trained and of new rules [%(default)s]",
    )
    parser.add_argument(
        "--examples", type=count, default=1, metavar="N", help="wrong answers that are drawn of each [%(default)s]"
    )


def _failures(given: argparse.Namespace) -> None:
    from analysis.grids.failures import failures
    from analysis.grids.figures import sheet
    from analysis.grids.tables import failures_page

    path = page.checked(given.figure) if given.figure else None
    found = failures(opened(given, *FAMILIES), given.split, given.votes, given.worst, given.examples)
    if path:
        text = (
            f"Wrong answers to boards of the {found.split} split, of the families or tasks with fewest right ones. "
            "Wrong cells are crossed out; a dashed frame shows the right shape where the answer has another."
        )
        page.write(path, f"{found.trial}: wrong answers", text, sheet(found.examples))
    show(given, found, lambda width: failures_page(found, width))


FAILURES = Command("where a trial's answers to grids are wrong", _arguments, _failures)
