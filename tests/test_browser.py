"""How the browser for the tests of the report is found, installed or done without."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

from tests import browser
from tests.conftest import ROOT, command


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is the whole PATH of a machine without any browser."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(browser, "APPLICATIONS", (str(tmp_path / "Google Chrome"),))
    monkeypatch.setattr(browser, "_playwrights_own", lambda: None)  # it takes a second each time
    monkeypatch.delenv(browser.VARIABLE, raising=False)
    return tmp_path


def program(path: Path, code: int = 0) -> str:
    """A program that ends with a code."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\nexit {code}\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize("name", [*browser.NAMES, "Google Chrome"])
def test_any_of_its_names_is_found(bare: Path, name: str) -> None:
    assert browser.find() is None
    assert (program(bare / name), browser.find()) == (str(bare / name),) * 2


def test_playwrights_own_is_found_where_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLAYWRIGHT_BROWSERS_PATH", str(tmp_path))
    monkeypatch.setattr(browser, "NAMES", ())
    monkeypatch.setattr(browser, "APPLICATIONS", ())
    monkeypatch.delenv(browser.VARIABLE, raising=False)
    assert browser.find() is None
    with sync_playwright() as playwright:
        place = Path(playwright.chromium.executable_path)
    assert place.is_relative_to(tmp_path)
    assert (program(place), browser.find()) == (str(place),) * 2


def test_one_that_does_not_run_is_passed_over(bare: Path) -> None:
    program(bare / "chromium", code=127)
    assert browser.find() is None
    chrome = program(bare / "google-chrome")
    assert browser.find() == chrome


def test_the_variable_names_another_or_none(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(bare / "chromium")
    monkeypatch.setenv(browser.VARIABLE, program(bare / "mine" / "browser"))
    assert browser.find() == str(bare / "mine" / "browser")
    monkeypatch.setenv(browser.VARIABLE, "none")
    assert browser.find() is None
    monkeypatch.setenv(browser.VARIABLE, program(bare / "broken", code=1))
    with pytest.raises(LookupError, match=r"LEADLINE_BROWSER: .*broken is not a program that runs"):
        browser.find()


@pytest.mark.parametrize(
    ("root", "packaged", "commands"),
    [
        (True, True, ["apt-get update", "apt-get install --yes chromium"]),
        (
            True,
            False,
            ["apt-get update", "apt-get install --yes chromium", "playwright install --with-deps --no-shell chromium"],
        ),
        (False, True, ["playwright install --no-shell chromium"]),
    ],
)
def test_root_installs_the_package_and_others_playwrights_own(
    bare: Path, monkeypatch: pytest.MonkeyPatch, root: bool, packaged: bool, commands: list[str]
) -> None:
    ran: list[str] = []

    def attempted(*words: str) -> bool:
        ran.append(" ".join(words[2:] if words[0] == sys.executable else words))
        if words[:2] == ("apt-get", "install") and packaged:
            program(bare / "chromium")
        return True

    program(bare / "apt-get")
    monkeypatch.setattr(os, "geteuid", lambda: 0 if root else 1000)
    monkeypatch.setattr(browser, "_try", attempted)
    found = browser.install()
    assert ran == commands
    assert found == (str(bare / "chromium") if root and packaged else None)


def test_without_one_the_run_says_once_what_was_skipped_and_in_ci_it_fails(tmp_path: Path) -> None:
    names = ("one(browser)", "two(browser)", "three()")
    (tmp_path / "test_page.py").write_text("".join(f"def test_{name}: pass\n" for name in names))
    options = ("-m", "pytest", "-q", "-p", "tests.browser", "test_page.py")
    run = command(*options, cwd=tmp_path, PYTHONPATH=str(ROOT), LEADLINE_BROWSER="none", CI="")
    assert run.returncode == 0, run.stdout + run.stderr
    *_, said, counts = run.stdout.splitlines()
    assert said.startswith("NOT TESTED: 2 tests were skipped, as no Chromium or Chrome was found: install one (")
    assert counts.startswith("1 passed, 2 skipped in")
    assert run.stdout.count("no Chromium") == 1
    run = command(*options, cwd=tmp_path, PYTHONPATH=str(ROOT), LEADLINE_BROWSER="none", CI="true")
    assert run.returncode == 1, run.stdout + run.stderr
    assert run.stdout.splitlines()[-1].startswith("1 passed, 2 errors in")


@pytest.mark.parametrize(("ci", "code", "said"), [("true", 1, "which is an error in CI"), ("", 0, "will be skipped")])
def test_the_command_is_an_error_without_one_only_in_ci(ci: str, code: int, said: str) -> None:
    run = command("-m", "tests.browser", CI=ci, LEADLINE_BROWSER="none")
    assert run.returncode == code
    assert (run.stderr.count("\n"), said in run.stderr) == (1, True), run.stderr


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (None, "is not found: Python 3.11 or later is needed, make PYTHON=... names it"),
        ("import sys; sys.version_info = (3, 9); sys.version = '3.9.1 (x)'", "is 3.9.1: make PYTHON=... names another"),
        (
            "import sys; sys.modules['ensurepip'] = None",
            "(Debian: apt-get install python3-venv)",
        ),
    ],
)
def test_make_says_in_one_line_what_python_lacks(tmp_path: Path, source: str | None, said: str) -> None:
    (tmp_path / "Makefile").write_text((ROOT / "Makefile").read_text())
    python = tmp_path / "python"
    if source:
        (tmp_path / "sitecustomize.py").write_text(source)
        python.write_text(f"#!/bin/sh\nPYTHONPATH='{tmp_path}' exec '{sys.executable}' \"$@\"\n")
        python.chmod(0o755)
    # A make that runs these tests would be the outer one, and the inner one would say so.
    outside = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    for target in ("sweep", "test"):
        run = subprocess.run(
            ["make", target, f"PYTHON={python}"], cwd=tmp_path, env=outside, capture_output=True, text=True
        )
        assert run.returncode == 2
        line, by_make = run.stderr.splitlines()
        assert line.endswith(said), line
        assert by_make.startswith("make: *** ")
        assert run.stdout == ""
        assert not (tmp_path / ".venv").exists()
