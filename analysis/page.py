"""A figure as one HTML file that needs no other."""

from __future__ import annotations

import html
from pathlib import Path

from leadline.config import ConfigError

__all__ = ["checked", "write"]

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><style>
:root {{ color-scheme: light dark; }}
body {{ font-family: system-ui, sans-serif; line-height: 1.5; max-width: 70rem; margin: 1rem auto; padding: 0 1rem; }}
h1 {{ font-size: 1.3rem; }}
</style></head><body><h1>{title}</h1><p>{text}</p>{body}</body></html>
"""


def checked(path: Path) -> Path:
    """Returns the path of a figure to be written.

    Raises:
        ConfigError: if it is a folder, or its folder does not exist.
    """
    if path.is_dir():
        raise ConfigError(f"figure: {path} is a folder; name a file")
    if not path.absolute().parent.is_dir():
        raise ConfigError(f"figure: there is no folder {path.absolute().parent}")
    return path


def write(path: Path, title: str, text: str, body: str) -> None:
    """Writes a page with a title and a sentence, both plain text, above a figure's own HTML.

    Raises:
        ConfigError: if the file cannot be written.
    """
    page = PAGE.format(title=html.escape(title), text=html.escape(text), body=body)
    try:
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"figure: cannot write {path}: {error.strerror}") from None
