"""The testbed's cluster, shared by all tests that leave it whole."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cluster.hosts import Hosts
from tests.cluster.testbed import HEAD, LAPTOP, WORKERS, Cluster


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A head without trials and two workers, up and with token authentication."""
    with Hosts(HEAD, *WORKERS, LAPTOP) as hosts:
        running = Cluster(hosts)
        running.up()
        yield running
