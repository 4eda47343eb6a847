"""The browser that the report is tested in: Chromium or Chrome, found or installed.

`python -m tests.browser`, which `make test` runs first, installs Chromium where none is found:
Debian's package as root, else Playwright's own. Where neither works, the tests that need a browser
are skipped, and a line at the end of the run says so; in CI that is an error. LEADLINE_BROWSER
names the program to use, or says `none`: nothing is searched or installed.

As a plugin of pytest it brings the fixture `browser`.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser

__all__ = ["NAMES", "VARIABLE", "browser", "find", "install", "main", "required"]

VARIABLE = "LEADLINE_BROWSER"
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
"""Programs that are looked for on the PATH."""
APPLICATIONS = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)
"""Where macOS has them."""
MISSING = "no Chromium or Chrome was found"
ADVICE = f"install one (Debian: apt-get install chromium), or name one in {VARIABLE}"
VERSION_SECONDS = 60.0
"""How long a browser may take to say its version."""


def find() -> str | None:
    """The path of a browser that runs, or None.

    Raises:
        LookupError: if LEADLINE_BROWSER names a program that does not run.
    """
    if named := os.environ.get(VARIABLE):
        if named == "none":
            return None
        program = shutil.which(named)
        if program is None or not _runs(program):
            raise LookupError(f"{VARIABLE}: {named} is not a program that runs")
        return program
    on_path = [found for name in NAMES if (found := shutil.which(name))]
    return next((program for program in (*on_path, *APPLICATIONS) if _runs(program)), None) or _playwrights_own()


def _runs(program: str) -> bool:
    """Whether it says its version: Ubuntu's chromium-browser may be an empty shell, a download may lack libraries."""
    try:
        return subprocess.run([program, "--version"], capture_output=True, timeout=VERSION_SECONDS).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def _playwrights_own() -> str | None:
    """The browser that `playwright install chromium` has downloaded, if it has."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        program = playwright.chromium.executable_path
    return program if _runs(program) else None


def install() -> str | None:
    """Installs Chromium and returns its path; None where that cannot be done."""
    debian = os.geteuid() == 0 and shutil.which("apt-get") is not None
    if debian:
        _try("apt-get", "update") and _try("apt-get", "install", "--yes", "chromium")
        if program := find():
            return program
    # Playwright's own needs libraries, which only root can install, and only on distributions that Playwright knows.
    _try(sys.executable, "-m", "playwright", "install", *(["--with-deps"] if debian else []), "--no-shell", "chromium")
    return find()


def _try(*command: str) -> bool:
    print("+", *command, flush=True)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    return subprocess.run(command, env=environment).returncode == 0


def required() -> bool:
    """Whether a missing browser is an error."""
    return os.environ.get("CI", "").lower() not in ("", "0", "false")


@functools.cache
def _found_once() -> str | None:
    return find()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser without a window; tests that ask for it are skipped where there is none."""
    program = _found_once()
    if program is None:
        (pytest.fail if required() else pytest.skip)(f"{MISSING}: {ADVICE}")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-dev-shm-usage"])
        yield started
        started.close()


@pytest.hookimpl(wrapper=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> Iterator[None]:
    """Says, below everything but the counts, how many tests a browser was missing for."""
    yield
    skipped = sum(MISSING in str(report.longrepr) for report in terminalreporter.stats.get("skipped", []))
    if skipped:
        line = f"NOT TESTED: {skipped} tests were skipped, as {MISSING}: {ADVICE}"
        terminalreporter.write_line(line, red=True, bold=True)


def main() -> int:
    """Finds or installs a browser, and says which; exits with 1 where there is none and must be."""
    try:
        program = find()
        if program is None and os.environ.get(VARIABLE) != "none":
            print(f"{MISSING}: installing Chromium", flush=True)
            program = install()
    except LookupError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if program is None:
        consequence = "which is an error in CI" if required() else "so the tests that need one will be skipped"
        print(f"{MISSING}, {consequence}: {ADVICE}", file=sys.stderr)
        return int(required())
    print(f"browser: {program}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
