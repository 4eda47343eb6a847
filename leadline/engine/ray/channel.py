"""A Ray actor that passes items between a trial's processes. This module imports no torch."""

from __future__ import annotations

import asyncio
from typing import Any

import ray

__all__ = ["Channel", "channel"]


class Channel:
    """An actor that passes items from one process to another, in order.

    Ray's own queue is not used, because its task fails when no item comes in time, which Ray's
    pages would show in red.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._items: asyncio.Queue[Any] = asyncio.Queue()

    def __repr__(self) -> str:
        return f"Channel({self._name})"

    async def put(self, item: Any) -> None:
        """Adds an item."""
        self._items.put_nowait(item)

    async def take(self, seconds: float | None) -> list[Any]:
        """The next item, alone in a list; the list is empty if none came in time.

        Args:
            seconds: how long to wait; None for ever.
        """
        try:
            return [await asyncio.wait_for(self._items.get(), seconds)]
        except TimeoutError:
            return []


def channel(name: str) -> Any:
    """Starts a channel, which Ray's dashboard shows under that name."""
    actor: Any = ray.remote(Channel)
    return actor.options(num_cpus=0, max_concurrency=16).remote(name)
