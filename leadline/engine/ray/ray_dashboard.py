"""Ray: what its dashboard shows of a sweep: the job page, a file among its logs, and the links to both.

Everything here that is no public interface of Ray 2.60 stands in this file: `JobInfoStorageClient` (the job page), the folder
of a session's logs, the job's configuration in the driver's environment, and the addresses of the dashboard's pages. Any of
it may fail with another Ray; a sweep does not depend on it.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
from pathlib import Path
from typing import Any
from urllib.parse import quote

import ray

__all__ = ["JobPage", "LogPage", "link", "submission"]

SECONDS = 5
"""How long Ray's head may take to answer."""


def submission() -> str:
    """The submission id of the Ray job whose driver this process is; empty where it is none."""
    config = json.loads(os.environ.get("RAY_JOB_CONFIG_JSON_ENV_VAR", "{}"))
    return str((config.get("metadata") or {}).get("job_submission_id", ""))


def _worker() -> Any:
    """Ray's own state in this process, which has no types."""
    return ray._private.worker


def link(page: str) -> str:
    """The address of a page of the dashboard, as seen where it runs; empty where there is no dashboard."""
    base = _worker()._global_node.webui_url
    return f"http://{base}/#/{page}" if base else ""


class JobPage:
    """The page of a submitted job: its status message and its metadata.

    Ray's supervisor writes the same record when the job begins and when it ends, and its words for the end replace the
    message. So nothing is written unless the job runs, and the metadata stay.
    """

    def __init__(self, job: str) -> None:
        from ray.dashboard.modules.job.common import JobInfoStorageClient

        self.job = job
        self._loop = asyncio.new_event_loop()
        self._client = JobInfoStorageClient(_worker().global_worker.gcs_client)

    def write(self, message: str, metadata: dict[str, str]) -> None:
        """Replaces the message, and the metadata of those names.

        Raises:
            Exception: whatever Ray raises, also where it does not answer for `SECONDS`.
        """
        self._loop.run_until_complete(self._write(message, metadata))

    async def _write(self, message: str, metadata: dict[str, str]) -> None:
        known = await self._client.get_info(self.job, timeout=SECONDS)
        if known is None or known.status.is_terminal():
            return
        changed = dataclasses.replace(known, message=message, metadata={**(known.metadata or {}), **metadata})
        await self._client.put_info(self.job, changed, timeout=SECONDS)

    @property
    def link(self) -> str:
        """Its address."""
        return link(f"jobs/{quote(self.job)}")


class LogPage:
    """A file among the logs of the node on which this process runs; the viewer shows it whole, as it is replaced by a rename.

    Args:
        name: of the file, which no other sweep may use.
    """

    def __init__(self, name: str) -> None:
        self.path = Path(_worker()._global_node.get_logs_dir_path()) / name
        self.link = link(f"logs/viewer?nodeId={ray.get_runtime_context().get_node_id()}&fileName={quote(name)}")

    def write(self, text: str) -> None:
        """Replaces the file.

        Raises:
            OSError: as the disk says.
        """
        beside = self.path.parent.parent / f".{self.path.name}.new"  # on the same disk, and not among the logs
        beside.write_text(text, encoding="utf-8")
        beside.replace(self.path)
