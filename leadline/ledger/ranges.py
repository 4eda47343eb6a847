"""The ranges from which a search space asks its values, as they are recorded with each proposal.

A ledger has them as the JSON of Optuna's distributions
(`optuna.distributions.distribution_to_json`), which is read here without Optuna.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from leadline.config import shown
from leadline.ledger.history import History, Trial

__all__ = ["EDGE", "LEGEND", "Edge", "Range", "by_stratum", "edges", "in_words", "legend", "ranges", "words"]

EDGE = 0.1
"""The share of a range that counts as its edge, at each end, on the scale that is searched."""

LEGEND = "* at the edge of the range that was searched"
"""What explains the mark in the text of `words`."""
_MARKED = re.compile(r"=[-+.e\d]+\*")
"""A number with the mark, which no other value has, in the text of `words`."""

Edge = Literal["lower", "upper"]


@dataclass(frozen=True)
class Range:
    """The values that a parameter can take.

    Attributes:
        choices: the values of a parameter that is chosen from a list; empty for a number.
        low, high: the least and the greatest number.
        log: whether the logarithm is searched.
        step: the distance of two neighbours; None for a continuous number.
    """

    choices: tuple[Any, ...] = ()
    low: float = math.nan
    high: float = math.nan
    log: bool = False
    step: float | None = None

    @staticmethod
    def of(words: str) -> Range:
        """Returns the range that Optuna's JSON says."""
        found = json.loads(words)["attributes"]
        if "choices" in found:
            return Range(tuple(found["choices"]))
        return Range((), found["low"], found["high"], found["log"], found["step"])

    @property
    def numbers(self) -> tuple[float, ...]:
        """The bounds and the step, as far as there are any."""
        found = () if self.choices else (self.low, self.high, self.step)
        return tuple(number for number in found if number is not None)

    def with_digits(self, digits: int) -> str:
        """Returns the range as `in_words` has it, its floats with so many significant digits."""
        if self.choices:
            return f"{{{', '.join(map(str, self.choices))}}}"
        low, high, step = (shown(number, digits) for number in (self.low, self.high, self.step))
        every = f" in steps of {step}" if self.step not in (None, 1) else ""
        return f"[{low}, {high}]{' log' if self.log else ''}{every}"

    def edge(self, value: Any) -> Edge | None:
        """Returns at which edge of the range a value lies; None where it lies inside.

        An edge is the outer tenth of a continuous range, and the least or greatest of whole numbers
        or of three or more numbers in a list. Other lists have no edge, and neither has a range
        with one or two values, of which each would be at one.
        """
        low, high = self.low, self.high
        if self.choices:
            if len(self.choices) < 3 or not all(_is_number(choice) for choice in self.choices):
                return None
            low, high = min(self.choices), max(self.choices)
        if not _is_number(value) or not low < high:
            return None
        if self.step is not None and high - low <= self.step:
            return None
        if not low < value < high:  # outside of it, too, where a logarithm may have no value
            return "lower" if value <= low else "upper"
        if self.step is not None or self.choices:
            return None
        place = math.log(value / low) / math.log(high / low) if self.log else (value - low) / (high - low)
        return "lower" if place <= EDGE else "upper" if place >= 1 - EDGE else None


def in_words(ranges: Sequence[Range], *beside: float) -> list[str]:
    """Returns ranges in words, such as `[0.001, 0.1] log` or `{a, b}`.

    Floats have three significant digits, and more where two different ones would read alike.

    Args:
        ranges: the ranges that are read together.
        beside: numbers that are read with them.
    """
    numbers = {*beside, *(number for one in ranges for number in one.numbers)}
    digits = next(
        digits for digits in range(3, 18) if len({shown(number, digits) for number in numbers}) == len(numbers)
    )
    return [one.with_digits(digits) for one in ranges]


def by_stratum(found: Mapping[str, Mapping[str, Range]]) -> dict[str, dict[str, str]]:
    """Returns ranges by stratum and parameter in words, those of a parameter read together."""
    words: dict[str, dict[str, str]] = {stratum: {} for stratum in found}
    for name in dict.fromkeys(name for own in found.values() for name in own):
        strata = [stratum for stratum, own in found.items() if name in own]
        for stratum, text in zip(strata, in_words([found[stratum][name] for stratum in strata]), strict=True):
            words[stratum][name] = text
    return words


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def ranges(history: History, stratum: str) -> dict[str, Range]:
    """Returns the range of each parameter that was searched in a stratum, by name.

    A range that has changed between two runs of a sweep is the newer one.
    """
    found: dict[str, str] = {}
    for trial in history.search_trials():
        if trial.stratum == stratum:
            found |= trial.distributions
    return {name: Range.of(words) for name, words in found.items()}


def edges(trial: Trial) -> dict[str, Edge]:
    """Returns the parameters of a trial that lie at the edge of their range, and at which."""
    found = {
        name: Range.of(words).edge(trial.params[name])
        for name, words in trial.distributions.items()
        if name in trial.params
    }
    return {name: edge for name, edge in found.items() if edge}


def words(trial: Trial) -> str:
    """Returns what was searched of a trial on one line, as in `lr=0.00132 margin=0.00335*`.

    Numbers have three significant digits. A star marks what lies at the edge of its range: see
    `LEGEND`. The text is empty where nothing was searched, as for a replicate.
    """
    marked = edges(trial)
    return " ".join(f"{name}={shown(value)}{'*' if name in marked else ''}" for name, value in trial.params.items())


def legend(texts: Iterable[str]) -> list[str]:
    """Returns `LEGEND` where one of the texts has the mark that it explains.

    Another star, such as in the name of a predictor, is none.
    """
    return [LEGEND] if any(_MARKED.search(text) for text in texts) else []
