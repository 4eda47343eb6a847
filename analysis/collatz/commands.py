"""The commands that question a trained Collatz network.

    leadline failures SWEEP NUMBER       where along an orbit V does not fall
    leadline ablation SWEEP NUMBER       which inputs matter: masked, permuted, left out of
                                         training (--replicates 5 for a claim)
    leadline attribution SWEEP NUMBER    what the network uses of the window
    leadline lookahead SWEEP NUMBER      the trial's configuration at longer lookaheads

A command that trains says so line by line on stderr. Its exit code is 130 if it was interrupted.
"""

from __future__ import annotations

import argparse
import sys

from analysis.page import checked
from analysis.questions import plain, show, trial_arguments
from leadline.command_line import Command, count, local_path
from leadline.config import ConfigError
from leadline.statistics import LEAST_REPLICATES

__all__ = ["ABLATION", "ATTRIBUTION", "FAILURES", "LOOKAHEAD"]

LONGEST = 200


def _lookaheads(text: str) -> list[int]:
    return [count(word) for word in text.split(",")]


def _figure_arguments(parser: argparse.ArgumentParser) -> None:
    trial_arguments(parser, "collatz")
    parser.add_argument("--figure", type=local_path, metavar="FILE", help="also write a self-contained HTML figure")


def _training_arguments(parser: argparse.ArgumentParser, replicates: int) -> None:
    trial_arguments(parser, "collatz")
    parser.add_argument("--steps", type=count, metavar="N", help="budget of each training [the trial's own]")
    parser.add_argument(
        "--replicates", type=count, default=replicates, metavar="R", help="fresh seeds of each training [%(default)s]"
    )


def _ablation_arguments(parser: argparse.ArgumentParser) -> None:
    _training_arguments(parser, 1)


def _lookahead_arguments(parser: argparse.ArgumentParser) -> None:
    _training_arguments(parser, LEAST_REPLICATES)
    parser.add_argument(
        "--to", type=count, metavar="L", help=f"double the trial's lookahead up to this one [{LONGEST}]"
    )
    parser.add_argument(
        "--at", type=_lookaheads, metavar="L,L", help="these lookaheads instead, as in 10,20,50,100,200"
    )


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _failures(given: argparse.Namespace) -> None:
    from analysis.collatz import figures, tables
    from analysis.collatz.failures import failures
    from analysis.collatz.subject import Subject, opened

    path = checked(given.figure) if given.figure else None
    subject = Subject.of(*opened(given.sweep, given.number))
    found = failures(subject)
    if path:
        text = (
            "Margins over the mean |margin|, along the published log's five orbits "
            "and the test orbits with most violations. A cross is a violation; shaded: the input contains the answer. "
            "Titles: the network's violations / steps, the sum's violations."
        )
        figures.write(path, f"{subject.name}: margins along orbits", text, figures.margins_figure(subject))
    show(given, found, lambda width: tables.failures_page(found, width))


def _ablation(given: argparse.Namespace) -> None:
    from analysis.collatz import tables
    from analysis.collatz.ablation import ablation
    from analysis.collatz.subject import Subject, opened

    found = ablation(Subject.of(*opened(given.sweep, given.number)), given.steps, given.replicates, _say)
    show(given, found, lambda width: tables.ablation_page(found, width))


def _attribution(given: argparse.Namespace) -> None:
    from analysis.collatz import figures, tables
    from analysis.collatz.attribution import attribution
    from analysis.collatz.subject import Subject, opened

    path = checked(given.figure) if given.figure else None
    found = attribution(Subject.of(*opened(given.sweep, given.number)))
    if path:
        text = (
            f"Slope of V on the zero-parameter formula: {found.slope:.4g}. "
            f"Bars are 95 % intervals over {found.orbits} orbits."
        )
        figures.write(path, f"{found.trial}: what V uses of the window", text, figures.attribution_figure(found))
    show(given, found, lambda width: tables.attribution_page(found, width))


def _lookahead(given: argparse.Namespace) -> None:
    from analysis.collatz import tables
    from analysis.collatz.lookahead import curve, doubled, sentences
    from analysis.collatz.subject import opened
    from trainables.collatz.family import COLLATZ

    if given.at and given.to:
        raise ConfigError("to: applies to doubled lookaheads; leave it out beside --at")
    if given.at and max(given.at) > LONGEST:
        raise ConfigError(f"at: lookaheads are at most {LONGEST} (got {max(given.at)})")
    view, config = opened(given.sweep, given.number)
    lookaheads = given.at or doubled(config.lookahead, given.to or LONGEST)
    steps = given.steps or config.steps
    name = f"{view.sweep.name}, trial {view.number}"
    found = curve(name, config, COLLATZ.build_data(config), lookaheads, steps, given.replicates, _say)
    said = sentences(found)
    show(given, {**plain(found), "sentences": said}, lambda width: tables.curve_page(found, said, width))


FAILURES = Command("where along an orbit a trial's violations fall", _figure_arguments, _failures)
ABLATION = Command("which inputs a trial needs", _ablation_arguments, _ablation)
ATTRIBUTION = Command("what a trial uses of its window", _figure_arguments, _attribution)
LOOKAHEAD = Command("a trial's configuration at longer lookaheads", _lookahead_arguments, _lookahead)
