"""A Prometheus of a test's own, which scrapes a Ray through the file that Ray writes for it."""

from __future__ import annotations

import json
import shutil
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

from tests.conftest import ROOT, free_port
from tests.leadline.ray_head import until

__all__ = ["DASHBOARD", "QUERIES", "Prometheus"]

DASHBOARD = json.loads((ROOT / "grafana" / "leadline.json").read_text())
QUERIES = [(panel["title"], target["expr"]) for panel in DASHBOARD["panels"] for target in panel["targets"]]
"""Title of the panel, and PromQL."""
CONFIG = """
global: {{scrape_interval: 1s, scrape_timeout: 1s}}
scrape_configs:
  - job_name: ray
    file_sd_configs: [{{files: ["{found}"], refresh_interval: 1s}}]
"""


class Prometheus:
    """A server on loopback, until `stop`.

    Args:
        folder: for what it stores.
        ray: Ray's temporary folder.
    """

    def __init__(self, folder: Path, ray: Path) -> None:
        program = shutil.which("prometheus")
        assert program, "apt-get update && apt-get install --yes prometheus"
        (folder / "prometheus.yml").write_text(CONFIG.format(found=ray / "prom_metrics_service_discovery.json"))
        self.url = f"http://127.0.0.1:{free_port()}"
        options = [f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data"]
        options.append(f"--web.listen-address={self.url.removeprefix('http://')}")
        with (folder / "prometheus.log").open("wb") as log:
            self._process = subprocess.Popen([program, *options], stdout=log, stderr=log)

    def stop(self) -> None:
        """Ends it."""
        self._process.terminate()
        self._process.wait()

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The series of an expression, as they are now; none where it is not up yet.

        Raises:
            HTTPError: if it does not understand the expression.
        """
        address = f"{self.url}/api/v1/query?query={urllib.parse.quote(expression)}"
        try:
            with urllib.request.urlopen(address, timeout=10) as answer:
                found: list[dict[str, Any]] = json.load(answer)["data"]["result"]
                return found
        except urllib.error.HTTPError as error:
            if error.code == 503:  # it listens, and is not up yet
                return []
            raise
        except (urllib.error.URLError, ConnectionError):
            return []

    def value(self, expression: str) -> float:
        """Of an expression that has one series."""
        (series,) = until(lambda: self.query(expression))
        return float(series["value"][1])
