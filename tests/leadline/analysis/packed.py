"""What a report carries compressed, for tests."""

from __future__ import annotations

import base64
import gzip
import json
import re
from typing import Any

__all__ = ["figures", "rows", "script"]


def _text(source: str, name: str) -> str:
    found = re.search(rf'<script type="text/plain" id="{name}">([^<]*)</script>', source)
    assert found, name
    return gzip.decompress(base64.b85decode(found[1].replace(",", "<"))).decode()


def figures(source: str) -> list[dict[str, Any]]:
    """The Plotly figures of a page, in order."""
    found: list[dict[str, Any]] = json.loads(_text(source, "packed"))["figures"]
    return found


def rows(source: str) -> list[str]:
    """The further rows of long tables, as HTML."""
    found: list[str] = json.loads(_text(source, "packed"))["rows"]
    return found


def script(source: str) -> str:
    """Plotly's script."""
    return _text(source, "plotly")
