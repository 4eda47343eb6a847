"""The cluster's autoscaler: which types of node it may add, and how many places it is asked for."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

import yaml
from ray.autoscaler.sdk import request_resources

from leadline.engine.ray.private import BOOTSTRAP_CONFIG
from leadline.engine.ray.room import Node, Request

__all__ = ["Autoscaler", "node_types"]

AGAIN_SECONDS = 30.0
"""Pause before what was not enough is asked for again."""
MOST_ASKED = 1000
"""Places for which an autoscaler is asked at a time."""


class Autoscaler:
    """Asks the autoscaler for places. What is asked for is the cluster's: another sweep may have asked for something else."""

    def __init__(self, request: Request) -> None:
        self.types = node_types()
        self._request = request
        self._asked = 0
        self._asked_at = 0.0

    def ask(self, wanted: int, *, short: bool) -> None:
        """Asks for places of so many trials: anew where that has changed, and now and then while they are short.

        Args:
            short: whether fewer than that fit now.
        """
        now = time.monotonic()
        if not self.types or (wanted == self._asked and not (short and now - self._asked_at > AGAIN_SECONDS)):
            return
        self._asked = wanted
        self._asked_at = now
        bundles = [self._request.worker] * (wanted * max(self._request.workers, self._request.most_workers))
        request_resources(bundles=bundles, bundle_label_selectors=[dict(self._request.where)] * len(bundles))

    def close(self) -> None:
        """Takes the request back, also one that a driver before this one has made."""
        with contextlib.suppress(Exception):
            if self.types:
                request_resources(bundles=[])


def node_types(home: Path | None = None) -> list[Node]:
    """The types of node that the cluster's autoscaler may add, as `ray up` has left them on the head; none on a cluster without."""
    try:
        found = yaml.safe_load(((home or Path.home()) / BOOTSTRAP_CONFIG).read_text())
        types = found["available_node_types"] if found["provider"]["type"] != "local" else {}
        return [
            Node("", name, one.get("resources", {}), one.get("labels", {}))
            for name, one in types.items()
            if one.get("max_workers", 1)
        ]
    except (OSError, KeyError, TypeError, AttributeError, yaml.YAMLError):
        return []
