"""Numbers as the first screen writes them: two or three significant digits, and a true minus."""

from __future__ import annotations

import math

from leadline.measure import Measure

__all__ = ["interval", "short"]

TINY, HUGE = 1e-4, 1e9
"""The sizes below and from which a number is written with a power of ten."""
NOTHING = 1e-300
"""The size below which a number is written as 0: powers of ten end there."""
POWERS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def _exponent(value: float) -> int:
    """Returns the power of ten of a number's first significant digit; the number is not 0."""
    return math.floor(math.log10(abs(value)))


def short(value: float | None, digits: int = 3) -> str:
    """Returns a number with so many significant digits; a dash where it is None or not finite."""
    if value is None or not math.isfinite(value):
        return "-"
    return interval(Measure.exact(value, 1), digits)


def interval(measure: Measure, digits: int = 3) -> str:
    """Returns `−0.015 [−0.033, 0.003]`; the value alone where it is exact.

    The interval's width decides how many digits are written, so many significant ones at most.
    """
    values = (measure.value, measure.low, measure.high)
    if not all(map(math.isfinite, values)):
        return short(measure.value) if math.isfinite(measure.value) else "-"
    largest = max(map(abs, values))
    if largest < NOTHING:
        return "0"
    if not TINY <= largest < HUGE:
        power = _exponent(largest)
        value, low, high = (one / 10.0**power for one in values)
        scaled = interval(Measure(value, measure.n, low, high), digits)
        scaled = f"({scaled})" if "[" in scaled else scaled
        return f"{scaled}·10{str(power).translate(POWERS)}"
    width = measure.high - measure.low
    decimals = digits - 1 - _exponent(largest)
    if width > 0:
        decimals = min(decimals, 1 - _exponent(width))
    excluded = measure.low > 0 or measure.high < 0
    shown, *ends = (_rounded(one, decimals, excluded) for one in values)
    if width > 0:
        return f"{shown} [{', '.join(ends)}]"
    return shown.rstrip("0").rstrip(".") if "." in shown else shown


def _rounded(value: float, decimals: int, excluded: bool) -> str:
    """Returns a number with so many decimals.

    Where the interval excludes 0, no end of it is written as 0.
    """
    if value and excluded and round(value, decimals) == 0:
        decimals = -_exponent(value)
    shown = round(value, decimals)
    words = f"{shown if shown else 0.0:,.{max(0, decimals)}f}"
    return words.replace("-", "−")
