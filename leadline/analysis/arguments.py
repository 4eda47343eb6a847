"""Words of the command line that several commands take."""

from __future__ import annotations

import argparse
import math

__all__ = ["count", "price", "trial_number"]


def count(word: str) -> int:
    """A whole number of at least 1.

    Raises:
        ArgumentTypeError: for any other word.
    """
    if not word.isascii() or not word.isdigit() or int(word) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 1 (got {word!r})")
    return int(word)


def trial_number(word: str) -> int:
    """The number of a trial.

    Raises:
        ArgumentTypeError: for any other word.
    """
    if not word.isascii() or not word.isdigit():
        raise argparse.ArgumentTypeError(f"must be a trial's number (got {word!r})")
    return int(word)


def price(word: str) -> float:
    """An amount of money that is not negative.

    Raises:
        ArgumentTypeError: for any other word.
    """
    try:
        amount = float(word)
    except ValueError:
        amount = math.nan
    if not (math.isfinite(amount) and amount >= 0):
        raise argparse.ArgumentTypeError(f"must be the price of a machine hour, as in 1.2 (got {word!r})")
    return amount
