"""The cluster's autoscaler: the types of node that it may add, and asking it for places."""

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
"""Seconds before a request that has not brought enough places is repeated."""
MOST_ASKED = 1000
"""The largest number of trials for which an autoscaler is asked."""


class Autoscaler:
    """Asks the autoscaler for places.

    A cluster has one request at a time, so another sweep may replace it by its own.
    """

    def __init__(self, request: Request) -> None:
        self.types = node_types()
        self._request = request
        self._asked = 0
        self._asked_at = 0.0

    def ask(self, wanted: int, *, short: bool) -> None:
        """Asks for the places of so many trials.

        The request is made when the number has changed, and repeated now and then while places are
        short, in case another sweep has replaced it.

        Args:
            wanted: how many trials there should be places for.
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
        """Takes the request back, even if a driver before this one made it."""
        with contextlib.suppress(Exception):
            if self.types:
                request_resources(bundles=[])


def node_types(home: Path | None = None) -> list[Node]:
    """The types of node that the cluster's autoscaler may add; none without an autoscaler.

    Args:
        home: the folder in which `ray up` has left its configuration on the head; None for the home
            folder.
    """
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
