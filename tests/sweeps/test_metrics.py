"""The Grafana dashboard's queries against a real Prometheus that scrapes a real Ray, found through the file that Ray writes for it."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sweeps.ledger.text import Board
from tests.conftest import ROOT, free_port
from tests.sweeps.head import Head, head, until
from tests.sweeps.watched import AT_A_TIME, MIDDLE, Played

pytestmark = pytest.mark.cluster
DASHBOARD = json.loads((ROOT / "grafana" / "leadline.json").read_text())
QUERIES = [(panel["title"], target["expr"]) for panel in DASHBOARD["panels"] for target in panel["targets"]]
CONFIG = """
global: {{scrape_interval: 1s, scrape_timeout: 1s}}
scrape_configs:
  - job_name: ray
    file_sd_configs: [{{files: ["{found}"], refresh_interval: 1s}}]
"""


class Prometheus:
    """A server of its own, on loopback, that scrapes what a file names."""

    def __init__(self, folder: Path, found: Path) -> None:
        program = shutil.which("prometheus")
        assert program, "apt-get update && apt-get install --yes prometheus"
        (folder / "prometheus.yml").write_text(CONFIG.format(found=found))
        self.url = f"http://127.0.0.1:{free_port()}"
        options = [f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data"]
        options.append(f"--web.listen-address={self.url.removeprefix('http://')}")
        with (folder / "prometheus.log").open("wb") as log:
            self.process = subprocess.Popen([program, *options], stdout=log, stderr=log)

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The series of an expression, as they are now."""
        address = f"{self.url}/api/v1/query?query={urllib.parse.quote(expression)}"
        try:
            with urllib.request.urlopen(address, timeout=10) as answer:
                found: list[dict[str, Any]] = json.load(answer)["data"]["result"]
                return found
        except ConnectionError:
            return []
        except urllib.error.HTTPError:
            raise
        except urllib.error.URLError:
            return []

    def value(self, expression: str) -> float:
        """Of an expression that has one series."""
        (series,) = until(lambda: self.query(expression))
        return float(series["value"][1])


@pytest.fixture(scope="module")
def scraped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Head, Prometheus]]:
    with head() as ray:
        server = Prometheus(tmp_path_factory.mktemp("prometheus"), ray.folder / "prom_metrics_service_discovery.json")
        try:
            ray.play("demo")
            yield ray, server
        finally:
            server.process.terminate()
            server.process.wait()


@pytest.mark.parametrize(("title", "expression"), QUERIES, ids=[f"{title}-{index}" for index, (title, _) in enumerate(QUERIES)])
def test_every_query_of_the_dashboard_finds_finite_values(scraped: tuple[Head, Prometheus], title: str, expression: str) -> None:
    found = until(lambda: scraped[1].query(expression.replace("$sweep", "demo")))
    assert all(series["metric"]["sweep"] == "demo" for series in found), title
    assert all(math.isfinite(float(series["value"][1])) for series in found), title


def test_the_variable_of_the_dashboard_finds_the_sweep(scraped: tuple[Head, Prometheus]) -> None:
    query = next(variable for variable in DASHBOARD["templating"]["list"] if variable["name"] == "sweep")["query"]["query"]
    assert query == "label_values(ray_leadline_trials, sweep)"
    assert {series["metric"]["sweep"] for series in until(lambda: scraped[1].query("ray_leadline_trials"))} == {"demo"}


def test_what_is_stored_is_what_the_leaderboard_has(scraped: tuple[Head, Prometheus]) -> None:
    played = Played()
    played.run(MIDDLE)
    director, server = played.director, scraped[1]
    for stratum in ("1", "2"):
        best = Board(director.history, "demo").best(stratum)
        assert best is not None
        assert server.value(f'ray_leadline_best_trial{{stratum="{stratum}"}}') == best.number
        assert server.value(f'ray_leadline_best{{stratum="{stratum}", bound="value"}}') == pytest.approx(best.value("validation/error"))
        for rung, count in director.asha[stratum].population().items():
            assert server.value(f'ray_leadline_rung_trials{{stratum="{stratum}", rung="{rung}"}}') == count
    assert server.value('ray_leadline_trials{state="running"}') == AT_A_TIME
    assert server.value("ray_leadline_samples_per_second") == pytest.approx(4.0 * AT_A_TIME)
    shown = {int(series["metric"]["trial"]) for series in server.query("ray_leadline_trial_value")}
    assert shown == {trial.number for trial in director.running()}


def test_a_trial_that_has_ended_is_exported_no_longer(scraped: tuple[Head, Prometheus]) -> None:
    ray, server = scraped
    assert until(lambda: server.query("ray_leadline_trial_value"))
    ray.go_on("demo")
    until(lambda: not server.query("ray_leadline_trial_value"), 60)
    assert server.query("max_over_time(ray_leadline_trial_value[10m])"), "its past is kept"
