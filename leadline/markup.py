"""What objects show of themselves in a notebook: small tables of HTML, with all values escaped."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from markupsafe import Markup

from leadline.config import shown
from leadline.measure import Measure

__all__ = ["harmless", "table", "with_interval"]

_Self = TypeVar("_Self")
_LEFT = Markup(' style="text-align: left"')


def harmless(show: Callable[[_Self], str]) -> Callable[[_Self], str | None]:
    """Makes a `_repr_html_` return None where it fails: a notebook then shows the `repr`."""

    @functools.wraps(show)
    def guarded(self: _Self) -> str | None:
        try:
            return show(self)
        except Exception:  # such as of a ledger that somebody has changed by hand
            return None

    return guarded


def table(title: str, rows: Iterable[Sequence[str]], headings: Sequence[str] = (), text: str = "") -> str:
    """Returns a table with a title and a line of text above it.

    Args:
        title: the heading, as plain text.
        rows: the cells, as plain text; without `headings`, the first of each row is its name.
        headings: the names of the columns.
        text: stands below the title, as plain text; empty for none.
    """
    head = Markup("").join(Markup("<th{}>{}</th>").format(_LEFT, heading) for heading in headings)
    body = [
        Markup("").join(
            Markup("<{0}{1}>{2}</{0}>").format("td" if headings or at else "th", _LEFT, cell)
            for at, cell in enumerate(row)
        )
        for row in rows
    ]
    lines = Markup("").join(Markup("<tr>{}</tr>").format(cells) for cells in ([head] if headings else []) + body)
    said = Markup("<div>{}</div>").format(text) if text else ""
    return str(Markup("<div><strong>{}</strong>{}<table>{}</table></div>").format(title, said, lines))


def with_interval(measure: Measure) -> str:
    """Returns a value with its 95 % interval, or alone where it has no spread."""
    value, low, high = map(shown, (measure.value, measure.low, measure.high))
    return value if measure.low == measure.high else f"{value} [{low}, {high}]"
