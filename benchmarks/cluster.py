"""A sweep on a cluster: the way to the first step, and trials a minute on one to three nodes.

    python -m benchmarks.cluster

takes about ten minutes, as root, with what `make test-cluster` installs. The hosts are Linux
namespaces on this machine (see `tests/cluster/hosts.py`): a head without trials, three workers of
two logical CPUs, and a laptop from which the sweep is typed. They are brought up by `ray up
clusters/onprem.yaml`, and the storage is an S3 server.

A trial sleeps 10 s in four steps, each of which is reported and leaves a checkpoint, and is nothing
else; so the hosts' common CPUs are no limit, as long as what the framework does around it leaves
them some. Trials a minute are counted from the moment at which each place has ended its first
trial, whose process had to be started, to the last trial's end. Two trials at a time and 10 s each
would be 12 a minute and node.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks._common import Result, machine, verdicts
from benchmarks.sleep_family import REPORTS
from leadline.ledger.events import Event, Reported
from leadline.ledger.segments import read
from tests.cluster.hosts import ROOT, Hosts
from tests.cluster.testbed import HEAD, LAPTOP, Cluster
from tests.conftest import S3Server

__all__ = ["main"]

WORKERS = ("one", "two", "three")
PLACES = 2
"""The number of trials that a worker runs at a time."""
SECONDS = 10.0
"""The seconds that a trial sleeps."""
ROUNDS = 6  # trials of a place, one after the other
TARGET = ">= 0.9"
FIRST = re.compile(r"first step +after ([\d.]+) s: (.*)")


@dataclass(frozen=True)
class Run:
    """The times of one sweep.

    Attributes:
        parts: seconds from the command to the first trial's first step, by what they went to.
        rate: trials a minute, of warm processes.
    """

    parts: dict[str, float]
    rate: float


def sweep(hosts: Hosts, cluster: Cluster, url: str, store: S3Server, nodes: int) -> Run:
    """Runs the sweep of sleeping trials on so many nodes, typed on the laptop."""
    environment = {**cluster.environment, "RAY_ADDRESS": url, "PYTHONPATH": str(ROOT)}
    name, trials = f"sleep-{nodes}", ROUNDS * PLACES * nodes
    words = [
        "-m",
        "benchmarks._sleep_sweep",
        "--storage",
        f"s3://bucket/sweeps?{store.options}",
        "--name",
        name,
        "--trials",
        str(trials),
    ]
    command = [
        *hosts.enter(LAPTOP, environment),
        "env",
        "-C",
        str(ROOT),
        "python",
        *words,
        f"pause={SECONDS / REPORTS}",
    ]
    began, submitted, said = time.time(), 0.0, ""
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as typed:
        assert typed.stdout is not None
        for line in typed.stdout:
            said += line
            submitted = submitted or ("submitted as job" in line and time.time()) or 0.0
    if typed.returncode:
        raise SystemExit(f"the sweep failed:\n{said}")
    events = list(read(store.at(f"sweeps/{name}/ledger")))
    return Run(_parts(events, began, submitted, said), _rate(events, PLACES * nodes))


def _parts(events: list[Event], began: float, submitted: float, said: str) -> dict[str, float]:
    """Returns the seconds from the command to the first step, by what they went to."""
    first = next(event for event in events if isinstance(event, Reported))
    whole = first.time - first.report.seconds - first.report.overhead - began
    found = FIRST.search(said)
    assert found is not None, said
    driver = {what: float(seconds) for what, seconds in re.findall(r"(.*?) ([\d.]+)(?:, |$)", found[2])}
    laptop = submitted - began
    before = {
        "on the laptop: imports, checks, submitting": laptop,
        "Ray starts the job": whole - laptop - float(found[1]),
    }
    return {**before, **driver, "in all": whole}


def _rate(events: list[Event], places: int) -> float:
    """Returns the trials a minute after each place's first."""
    ends = sorted(event.time for event in events if isinstance(event, Reported) and event.action != "continue")
    return 60.0 * (len(ends) - places) / float(ends[-1] - ends[places - 1])


def _brought_up(nodes: int, store_log: Path) -> Run:
    """Brings up a cluster of so many workers, and runs one sweep on it."""
    with Hosts(HEAD, *WORKERS, LAPTOP) as hosts:
        cluster = Cluster(hosts, WORKERS[:nodes])
        cluster.up()
        hosts.give("id", "secret")
        store = S3Server(store_log, hosts.gateway)
        try:
            with cluster.tunnel() as url:
                return sweep(hosts, cluster, url, store, nodes)
        finally:
            store.kill()


def main() -> list[Result]:
    """Prints the parts of the way to the first step, and the rates."""
    os.environ |= {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret"}
    print(f"{machine()}; {PLACES} trials of {SECONDS:g} s at a time on each node, {ROUNDS} one after the other\n")
    runs = {}
    with tempfile.TemporaryDirectory(prefix="leadline-bench-") as folder:
        for nodes in range(1, len(WORKERS) + 1):
            runs[nodes] = _brought_up(nodes, Path(folder, "s3.log"))
            print(f"{nodes} node{'s' if nodes > 1 else ''}: {runs[nodes].rate:.2f} trials a minute", flush=True)
    print("\nfrom the command to the first step, on three nodes")
    for what, seconds in runs[len(WORKERS)].parts.items():
        print(f"  {what:<40}{seconds:8.1f} s")
    results = []
    for nodes in (2, 3):
        ratio = runs[nodes].rate / (nodes * runs[1].rate)
        results.append(Result(f"trials a minute on {nodes} nodes / {nodes} times those on one", ratio, TARGET))
    ideal = len(WORKERS) * PLACES * 60 / SECONDS
    results.append(
        Result(
            "trials a minute on three nodes / as many as would fit without a pause between them",
            runs[3].rate / ideal,
            "-",
        )
    )
    return verdicts(results)


if __name__ == "__main__":
    main()
