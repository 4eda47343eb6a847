"""What Ray's dashboard shows of a sweep: the job page, a file among the logs, and links.

The addresses of the dashboard's pages, and that a job's record has a message, are not part of Ray
2.60's public interface, and neither is what `leadline.engine.ray.private` gives. Any of it may fail
with another version of Ray; a sweep does not depend on it.
"""

from __future__ import annotations

import asyncio
import dataclasses
from urllib.parse import quote

import ray

from leadline.engine.ray.private import dashboard_address, job_records, logs_folder

__all__ = ["JobPage", "LogPage"]

SECONDS = 5
"""How long Ray's head may take to answer."""


def link(page: str) -> str:
    """The address of a dashboard page, as seen from its host; empty if there is no dashboard."""
    base = dashboard_address()
    return f"http://{base}/#/{page}" if base else ""


class JobPage:
    """The page of a submitted job: its status message and its metadata.

    Ray's supervisor writes the same record when the job begins and when it ends, and its words for
    the end replace the message. So nothing is written unless the job runs, and metadata of other
    names are kept.
    """

    def __init__(self, job: str) -> None:
        self.job = job
        self._loop = asyncio.new_event_loop()
        self._client = job_records()

    def write(self, message: str, metadata: dict[str, str]) -> None:
        """Replaces the message, and the metadata of these names.

        Raises:
            Exception: what Ray raises, as it also does if it does not answer for `SECONDS`.
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
        """The address of the job's page; empty if there is no dashboard."""
        return link(f"jobs/{quote(self.job)}")


class LogPage:
    """A file among the logs of the node on which this process runs.

    It is replaced by a rename, so that Ray's log viewer always shows it whole.

    Args:
        name: the name of the file, which no other sweep may use.
    """

    def __init__(self, name: str) -> None:
        self.path = logs_folder() / name
        self.link = link(f"logs/viewer?nodeId={ray.get_runtime_context().get_node_id()}&fileName={quote(name)}")

    def write(self, text: str) -> None:
        """Replaces the file.

        Raises:
            OSError: if the file cannot be written.
        """
        beside = self.path.parent.parent / f".{self.path.name}.new"  # on the same disk, and not among the logs
        beside.write_text(text, encoding="utf-8")
        beside.replace(self.path)
