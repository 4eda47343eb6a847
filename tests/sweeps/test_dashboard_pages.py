"""Ray's dashboard in a real browser while a sweep runs: what a person reads on the job page and in the log viewer.

LEADLINE_SCREENSHOTS names a folder in which the pages are kept as pictures.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from sweeps.ledger.text import Board
from tests.sweeps.head import Head, head
from tests.sweeps.watched import MIDDLE, Played

pytestmark = pytest.mark.cluster
NAMES = ("chromium", "chromium-browser", "google-chrome")
SECONDS = 60.0
"""How long a page may take to show something."""


@pytest.fixture(scope="module")
def ray() -> Iterator[tuple[Head, str]]:
    """A head, and the job that runs there."""
    with head() as started:
        yield started, started.play("demo")


@pytest.fixture
def page(ray: tuple[Head, str]) -> Iterator[Page]:
    """The dashboard, in which the token has been given as a user gives it."""
    program = next((found for name in NAMES if (found := shutil.which(name))), None)
    assert program, "apt-get update && apt-get install --yes chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-dev-shm-usage"])
        opened = browser.new_page(viewport={"width": 1500, "height": 900})
        opened.set_default_timeout(SECONDS * 1e3)
        opened.goto(ray[0].url)
        opened.get_by_placeholder("Enter your authentication token").fill(ray[0].token)
        opened.keyboard.press("Enter")
        expect(opened.get_by_text("Authentication Token Required")).to_have_count(0, timeout=SECONDS * 1e3)
        yield opened
        browser.close()


def _keep(page: Page, name: str) -> None:
    if folder := os.environ.get("LEADLINE_SCREENSHOTS"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=f"{folder}/{name}.png")


def _links(ray: tuple[Head, str]) -> dict[str, str]:
    """What the driver has printed of where to look."""
    printed = ray[0].get(f"/api/jobs/{ray[1]}/logs")["logs"]
    return dict(re.findall(r"^(job page|leaderboard) +(http\S+)$", printed, re.MULTILINE))


def _board() -> Board:
    played = Played()
    played.run(MIDDLE)
    return Board(played.director.history, "demo")


def test_the_list_of_jobs_shows_the_best_trial(ray: tuple[Head, str], page: Page) -> None:
    page.goto(f"{ray[0].url}/#/jobs")
    expect(page.get_by_text(re.compile(r"level 1: trial \d+, error")).first).to_be_visible(timeout=SECONDS * 1e3)
    _keep(page, "jobs")


def test_the_job_page_shows_number_value_interval_and_marks_of_the_best_trial(ray: tuple[Head, str], page: Page) -> None:
    page.goto(_links(ray)["job page"])
    expect(page.get_by_text("s3://bucket/sweeps/watched").first).to_be_visible(timeout=SECONDS * 1e3)
    _keep(page, "job")
    page.get_by_text("View details").first.click()
    for line in _board().summary():
        expect(page.get_by_role("dialog")).to_contain_text(line, timeout=SECONDS * 1e3)
    _keep(page, "job-status")


def test_the_log_viewer_shows_the_leaderboard(ray: tuple[Head, str], page: Page) -> None:
    page.goto(_links(ray)["leaderboard"])
    board = _board()
    best = board.best("1")
    assert best is not None
    expect(page.get_by_text(re.compile("running now")).first).to_be_visible(timeout=SECONDS * 1e3)
    shown = page.inner_text("body")
    assert board.summary()[0] in shown
    assert re.search(rf"1 \| {best.number} \| running \| {best.value('validation/error'):.4g} \|", shown)
    assert "the-head" in shown
    _keep(page, "log")
