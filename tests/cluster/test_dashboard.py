"""Ray's dashboard while a real sweep runs as a job, on S3: read in a browser, scraped by a
Prometheus, compared with the ledger.

LEADLINE_SCREENSHOTS names a folder in which the pages are kept as pictures: `docs` renews those of the documentation.
"""

from __future__ import annotations

import math
import os
import re
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from leadline.ledger.events import Event
from leadline.ledger.history import History
from leadline.ledger.leaderboard_text import Board
from leadline.ledger.reader import LedgerError
from leadline.ledger.segments import read
from leadline.storage import Folder
from tests.cluster.laptop import outcome
from tests.cluster.prometheus import DASHBOARD, QUERIES, Prometheus
from tests.conftest import ROOT, S3Server
from tests.leadline.dashboard_job import AT_A_TIME, MIDDLE, Played
from tests.leadline.ray_head import Head, behind, head, until

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]
SECONDS = 120.0
"""How long a page may take to show something."""
NAME, STORAGE = "lookahead", "s3://bucket/sweeps"
COMMAND = ("sweeps/lookahead.py", "--trials", "96", "--name", NAME, "--storage", STORAGE)
"""More trials than are waited for: the sweep goes on as long as it is looked at."""
ENDED = 14
"""Trials that have ended when the looking begins."""
WATCHED_SECONDS = 30.0
ON_GPUS = "GPU memory of each trial that runs"
"""The panel that has nothing to show of a sweep without GPUs."""


@dataclass(frozen=True)
class Watched:
    """A sweep that runs as a job."""

    ray: Head
    folder: Folder
    typed: subprocess.Popen[bytes]

    def events(self) -> list[Event]:
        """What the ledger has by now."""
        assert self.typed.poll() is None, "it should still run"
        try:
            return list(read(self.folder / "ledger"))
        except LedgerError:
            return []

    def best(self) -> dict[str, tuple[int, str]]:
        """Number and value, to four digits, of the best trial that has finished in each stratum, by
        the ledger's last events alone.
        """
        found: dict[str, tuple[float, int]] = {}
        for trial in History.of(self.events()).trials.values():
            if trial.kind == "search" and trial.status == "finished":
                value = trial.reports[-1].metrics["validation/hinge"].value
                found[trial.stratum] = min(found.get(trial.stratum, (math.inf, -1)), (value, trial.number))
        return {stratum: (number, f"{value:.4g}") for stratum, (value, number) in found.items()}

    def ready(self) -> bool:
        """Whether there is something to see."""
        trials = History.of(self.events()).trials.values()
        return sum(not trial.open for trial in trials) >= ENDED and len(self.best()) == 4

    def job(self) -> dict[str, Any]:
        """What the dashboard knows of it."""
        (found,) = (job for job in self.ray.get("/api/jobs/") if (job.get("metadata") or {}).get("sweep") == NAME)
        return dict(found)

    def log(self) -> str:
        """What the driver has printed."""
        return str(self.ray.get(f"/api/jobs/{self.job()['submission_id']}/logs")["logs"])

    def links(self) -> dict[str, str]:
        """What it has printed of where to look."""
        return dict(re.findall(r"^(job page|leaderboard) +(http\S+)$", self.log(), re.MULTILINE))

    def board(self) -> str:
        """The leaderboard's file, as the log viewer gets it."""
        return self.ray.viewed(self.links()["leaderboard"])


@pytest.fixture(scope="module")
def ray(s3_credentials: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Head]:
    """A head on which `python` is this one, and which finds an S3 by its environment."""
    server = S3Server(tmp_path_factory.mktemp("s3") / "log")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
        patch.setenv("AWS_ENDPOINT_URL", f"http://{server.host}:{server.port}")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.setenv("OMP_NUM_THREADS", "1")
        with head() as started:
            yield started
    server.kill()


@pytest.fixture(scope="module")
def sweep(ray: Head) -> Iterator[Watched]:
    """The sweep, some way on."""
    environment = {**ray.environment, "RAY_ADDRESS": ray.url, "PYTHONPATH": str(ROOT)}
    typed = subprocess.Popen([sys.executable, *COMMAND], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
    try:
        found = Watched(ray, Folder.at(f"{STORAGE}/{NAME}"), typed)
        until(found.ready, 600)
        yield found
    finally:
        typed.kill()
        typed.wait()


@pytest.fixture(scope="module")
def prometheus(ray: Head, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    server = Prometheus(tmp_path_factory.mktemp("prometheus"), ray.folder)
    yield server
    server.stop()


@pytest.fixture(scope="module")
def page(browser: Browser, ray: Head) -> Page:
    """The dashboard, in which the token has been given as a user gives it."""
    opened = browser.new_page(viewport={"width": 1300, "height": 1180})
    opened.set_default_timeout(SECONDS * 1e3)
    opened.goto(ray.url)
    opened.get_by_placeholder("Enter your authentication token").fill(ray.token)
    opened.keyboard.press("Enter")
    expect(opened.get_by_text("Authentication Token Required")).to_have_count(0, timeout=SECONDS * 1e3)
    return opened


def _keep(page: Page, name: str) -> None:
    if folder := os.environ.get("LEADLINE_SCREENSHOTS"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        light = ".MuiBackdrop-root { background-color: rgba(0, 0, 0, 0.15) !important }"
        page.screenshot(path=f"{folder}/cluster_{name}.png", animations="disabled", style=light)


def _agrees(page: Page, link: str, look: Callable[[], str], wanted: Callable[[], list[str]]) -> None:
    """Opens the page until it shows what the ledger has just then said: reports come while it is read."""
    page.goto(link)

    def agreed() -> bool:
        lines = wanted()
        page.reload()
        shown = look()
        return all(re.search(line, shown) for line in lines)

    until(agreed, SECONDS)


def _summary(sweep: Watched) -> list[str]:
    return [
        rf"lookahead {stratum}: trial {number}, hinge {re.escape(value)} \("
        for stratum, (number, value) in sweep.best().items()
    ]


def test_the_drivers_log_has_a_table_with_the_best_trial(sweep: Watched) -> None:
    def agreed() -> bool:
        rows = [line.split(" | ") for line in sweep.log().splitlines() if line.count(" | ") == 7]
        last = {row[0]: (int(row[7]), row[5]) for row in rows[-4:] if row[7].isdigit()}
        return last == sweep.best()

    until(agreed, 2 * SECONDS)


def test_the_job_page_shows_number_and_value_of_the_best_trial(sweep: Watched, page: Page) -> None:
    def details() -> str:
        expect(page.get_by_text("Running entrypoint for job").first).to_be_visible(timeout=SECONDS * 1e3)
        page.get_by_text("View details").first.click()
        return page.get_by_role("dialog").inner_text()

    _agrees(page, sweep.links()["job page"], details, lambda: _summary(sweep))
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.get_by_text(f"{STORAGE}/{NAME}").first).to_be_visible()
    page.get_by_text("Running entrypoint for job").first.hover()
    page.mouse.wheel(0, 100_000)
    expect(
        page.get_by_text("lookahead | trials | rung 400 | rung 1200 | at 3600 | best | interval | trial").last
    ).to_be_visible()
    page.get_by_text("View details").first.click()
    _keep(page, "job")


def test_the_log_viewer_shows_number_and_value_of_the_best_trial_and_where_trials_run(
    sweep: Watched, page: Page
) -> None:
    def shown() -> str:
        expect(page.get_by_text(re.compile("running now")).first).to_be_visible(timeout=SECONDS * 1e3)
        return page.inner_text("body")

    def wanted() -> list[str]:
        number, value = sweep.best()["10"]  # the viewer renders what is in sight, which the last stratum may not be
        first = rf"1 \| {number} \| finished \| {re.escape(value)} \|"
        return [*_summary(sweep), first, rf"\| {re.escape(os.uname().nodename)} \| \d+ \| - \| [0-9a-f]{{56}}"]

    page.set_viewport_size({"width": 1200, "height": 930})  # to the last line that is whole
    _agrees(page, sweep.links()["leaderboard"], shown, wanted)
    _keep(page, "log")


def test_the_actors_page_says_whose_they_are_and_no_task_has_failed(sweep: Watched, page: Page) -> None:
    page.goto(f"{sweep.ray.url}/#/actors")
    expect(page.get_by_text(f"TrialProcess({NAME})").first).to_be_visible(timeout=SECONDS * 1e3)

    def tasks(state: str) -> list[dict[str, Any]]:
        filters = f"filter_keys=state&filter_predicates=%3D&filter_values={state}"
        answer = sweep.ray.get(f"/api/v0/tasks?limit=10000&detail=true&{filters}")
        found: list[dict[str, Any]] = answer["data"]["result"]["result"]
        return found

    assert sum(task["name"] == f"TrialProcess({NAME}).train" for task in tasks("FINISHED")) >= ENDED
    assert tasks("FAILED") == []


@pytest.mark.parametrize(
    ("title", "expression"), QUERIES, ids=[f"{title}-{index}" for index, (title, _) in enumerate(QUERIES)]
)
def test_every_query_of_the_grafana_dashboard_finds_finite_values(
    sweep: Watched, prometheus: Prometheus, title: str, expression: str
) -> None:
    asked = expression.replace("$sweep", NAME)
    if title == ON_GPUS:  # played below
        until(lambda: prometheus.query("ray_leadline_trials"))
        assert prometheus.query(asked) == []
        return

    def finite() -> list[dict[str, Any]]:
        found = prometheus.query(asked)
        return found if all(math.isfinite(float(series["value"][1])) for series in found) else []

    assert {series["metric"]["sweep"] for series in until(finite)} == {NAME}


def test_the_metrics_are_the_ledgers(sweep: Watched, prometheus: Prometheus) -> None:
    def stored() -> dict[str, tuple[int, str]]:
        found = {}
        for series in prometheus.query("ray_leadline_best_trial"):
            stratum = series["metric"]["stratum"]
            value = prometheus.value(f'ray_leadline_best{{stratum="{stratum}", bound="value"}}')
            found[stratum] = int(series["value"][1]), f"{value:.4g}"
        return found

    until(lambda: stored() == sweep.best(), SECONDS)


def test_how_far_the_leaderboard_is_behind(sweep: Watched) -> None:
    """Prints it. Times of a machine that others use are no ground for a failure."""
    found = behind(sweep.board, sweep.events, WATCHED_SECONDS)
    assert found, "there were reports"
    said = f"{statistics.median(found):.2f} s later, the last {max(found):.2f} s"
    outcome(f"{len(found)} reports of a sweep, until Ray's log viewer gets them", f"half of them within {said}")


def test_a_sweep_that_is_stopped_leaves_its_last_leaderboard(sweep: Watched) -> None:
    environment = {**sweep.ray.environment, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "analysis", "stop", sweep.folder.uri]
    subprocess.run(command, cwd=ROOT, env=environment, check=True, timeout=SECONDS)
    sweep.typed.wait(SECONDS)
    history = History.of(list(read(sweep.folder / "ledger")))
    assert history.closed == "interrupted"
    expected = Board(history, NAME, str(sweep.folder))
    assert sweep.job()["metadata"]["best"] == "; ".join(expected.summary())
    shown = [line for line in sweep.board().splitlines() if not line.startswith("written")]
    assert shown == [line for line in expected.text().splitlines() if not line.startswith("written")]
    assert str(ROOT) not in sweep.log()


def test_numbers_that_need_a_gpu_or_a_known_history_are_exported_and_go_with_their_trial(
    ray: Head, prometheus: Prometheus
) -> None:
    """A played sweep: a real director with reports that are made up."""
    ray.play("demo")
    (played := Played()).run(MIDDLE)
    director = played.director
    (expression,) = (query.replace("$sweep", "demo") for title, query in QUERIES if title == ON_GPUS)
    held = {
        series["metric"]["trial"]: float(series["value"][1]) for series in until(lambda: prometheus.query(expression))
    }
    assert held == {str(trial.number): 1e9 + trial.number for trial in director.running()}
    for stratum in ("1", "2"):
        for rung, count in director.asha[stratum].population().items():
            assert (
                prometheus.value(f'ray_leadline_rung_trials{{sweep="demo", stratum="{stratum}", rung="{rung}"}}')
                == count
            )
    assert prometheus.value('ray_leadline_trials{sweep="demo", state="running"}') == AT_A_TIME
    assert prometheus.value('ray_leadline_samples_per_second{sweep="demo"}') == pytest.approx(4.0 * AT_A_TIME)
    query = next(variable for variable in DASHBOARD["templating"]["list"] if variable["name"] == "sweep")["query"][
        "query"
    ]
    assert query == "label_values(ray_leadline_trials, sweep)"
    ray.go_on("demo")
    until(lambda: not prometheus.query('ray_leadline_trial_value{sweep="demo"}'), 60)
    assert prometheus.query('max_over_time(ray_leadline_trial_value{sweep="demo"}[10m])'), "its past is kept"
