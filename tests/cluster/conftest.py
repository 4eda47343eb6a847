"""The testbed: hosts with a Ray, an S3 that all reach, a laptop; and the table of what was done to
them and how it ended.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.ceph import KEY, SECRET, Ceph
from tests.cluster.hosts import Hosts
from tests.cluster.laptop import OUTCOMES, Laptop
from tests.cluster.testbed import HEAD, LAPTOP, SPARE, WORKERS, Cluster


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A head without trials and two workers, up and with token authentication; a further host that
    may become a node.
    """
    with Hosts(HEAD, *WORKERS, SPARE, LAPTOP) as hosts:
        running = Cluster(hosts)
        running.up()
        yield running


@pytest.fixture(scope="session")
def store(cluster: Cluster) -> Iterator[Ceph]:
    """On the network of the hosts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", KEY)
        patch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
        server = Ceph(cluster.hosts.gateway)
        server.at("").files.create_dir("bucket")
        yield server
        server.end()


@pytest.fixture(scope="module")
def laptop(cluster: Cluster, store: Ceph) -> Iterator[Laptop]:
    """With a tunnel to the dashboard, which ends with the file, and credentials for the store on all hosts."""
    with cluster.tunnel() as url:
        typed = Laptop(cluster, url, store)
        typed.cluster.hosts.give(KEY, SECRET)
        yield typed


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What was done, and what came of it."""
    if OUTCOMES:
        terminalreporter.write_line("\n| what was done | what was seen |\n| --- | --- |")
        for fault, seen in OUTCOMES:
            terminalreporter.write_line(f"| {fault} | {seen} |")
