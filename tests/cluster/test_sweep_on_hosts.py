"""A sweep from a laptop on a real cluster of hosts, on a real S3, while hosts and the store fail:
every trial is accounted for.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import pytest

from leadline.ledger.events import Failed
from leadline.storage import Folder
from tests.ceph import KEY, SECRET
from tests.cluster.hosts import wait_until
from tests.cluster.laptop import SCRIPT, SLOWLY, Laptop, outcome
from tests.cluster.testbed import HEAD, SPARE, WORKERS

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]


def test_it_finishes_on_both_workers_and_none_on_the_head(laptop: Laptop) -> None:
    out = laptop.ended("nothing", "whole", laptop.sweep("whole"))
    assert re.search(rf"note: on the Ray cluster at {laptop.cluster.address}: .*{HEAD} no CPU", out), out
    assert laptop.everywhere("whole") == set(WORKERS)
    outcome(
        "the command, until the first step",
        next(line for line in out.splitlines() if line.startswith("first step")).split(None, 2)[2],
    )


def test_a_worker_that_loses_its_power(laptop: Laptop) -> None:
    hosts, run = laptop.cluster.hosts, laptop.sweep("power", *SLOWLY)
    lost = laptop.reported("power", "one")
    moment, known = time.time(), {number: laptop.history("power").trials[number].step for number in lost}

    def words() -> str:
        noticed = max(event.time for event in laptop.events("power") if isinstance(event, Failed)) - moment
        return f"noticed after {noticed:.1f} s, the first report from another host after {laptop.anew('power', lost, moment):.1f} s"  # noqa: E501

    hosts.crash("one")
    try:
        out = laptop.ended("a worker loses its power", "power", run, words)
    finally:
        hosts.boot("one")
    assert "note: node one is gone" in out
    trials = laptop.history("power").trials
    assert {trials[number].cause for number in lost} == {"lost"}
    assert not [number for number in lost if trials[number].failures > trials[number].excused], "no fault of theirs"
    steps = {number: (step, _resumed(laptop.log("power", number, 2))) for number, step in known.items()}
    assert all(resumed >= step for step, resumed in steps.values()), f"what was reported was trained again: {steps}"


def _resumed(log: str) -> int:
    """The step from which an attempt went on."""
    return int(re.findall(r"resumed from attempt-\d+/step-(\d+)", log)[0])


def test_a_worker_whose_cable_is_pulled_and_plugged_back(laptop: Laptop) -> None:
    hosts, run = laptop.cluster.hosts, laptop.sweep("cable", *SLOWLY)
    lost = laptop.reported("cable", "two")
    hosts.cable("two", plugged=False)
    try:
        noticed = wait_until(
            lambda: all(laptop.history("cable").trials[number].cause == "lost" for number in lost), 90, "nobody noticed"
        )
    finally:
        hosts.cable("two", plugged=True)
    laptop.ended("a worker's cable is pulled, and plugged back", "cable", run, lambda: f"noticed after {noticed:.1f} s")


def test_a_worker_that_is_told_to_go_away(laptop: Laptop) -> None:
    hosts, run = laptop.cluster.hosts, laptop.sweep("notice", *SLOWLY, "--concurrent", "2")
    laptop.reported("notice")
    worker = next(host for host in WORKERS if laptop.on("notice", host))
    warned = laptop.on("notice", worker)
    notice = ["--reason=DRAIN_NODE_REASON_PREEMPTION", "--reason-message=spot", "--deadline-remaining-seconds=90"]
    drain = [
        "ray",
        "drain-node",
        f"--address={laptop.cluster.address}",
        f"--node-id={laptop.cluster.node(worker)}",
        *notice,
    ]
    hosts.run(HEAD, *drain, environment=laptop.cluster.environment)
    seconds = wait_until(lambda: not laptop.on("notice", worker), 60, "they stay")
    hosts.crash(worker)
    words = f"its trials move within {seconds:.1f} s, after their next checkpoints"
    try:
        out = laptop.ended("a worker is told to go away (spot notice), and goes", "notice", run, lambda: words)
    finally:
        hosts.boot(worker)
    assert re.search(rf"note: node {worker} goes away in \d+ s: no trial is placed there any more", out), out
    trials = laptop.history("notice").trials
    assert {trials[number].cause for number in warned} == {"preempted"}
    assert not [trial.number for trial in trials.values() if trial.failures]
    for number in warned:
        assert _resumed(laptop.log("notice", number, 2)) == max(
            map(int, re.findall(r" step (\d+)/", laptop.log("notice", number, 1)))
        )


def test_a_store_that_is_frozen_for_half_a_minute(laptop: Laptop) -> None:
    run = laptop.sweep("frozen", *SLOWLY)
    laptop.reported("frozen")
    laptop.store.freeze()
    time.sleep(30)
    laptop.store.thaw()
    laptop.ended("the S3 does not answer for 30 s", "frozen", run)
    assert not [trial.failures for trial in laptop.history("frozen").trials.values() if trial.failures]


class Mounted(Laptop):
    """As the laptop, with a folder of the spare host as storage, which the cluster's nodes mount (sshfs)."""

    @property
    def storage(self) -> str:
        """As the nodes see it; the laptop does not."""
        return str(self.cluster.hosts.home / "mounted")

    def folder(self, name: str) -> Folder:
        """On the host that serves it."""
        return Folder.at(str(self.cluster.hosts.own(SPARE, f"home/served/{name}")))


@pytest.fixture
def mounted(laptop: Laptop) -> Iterator[Mounted]:
    """Ended with the test."""
    hosts, found = laptop.cluster.hosts, Mounted(laptop.cluster, laptop.url, laptop.store)
    hosts.own(SPARE, "home/served").mkdir()
    for node in laptop.cluster.nodes:
        hosts.own(node, "home/mounted").mkdir()
        options = "reconnect,dir_cache=no,sftp_server=/usr/lib/openssh/sftp-server"
        hosts.run(node, "sshfs", "-o", options, f"{SPARE}:{hosts.home}/served", found.storage)
    yield found
    for node in laptop.cluster.nodes:
        hosts.run(node, "umount", "--lazy", found.storage)


def test_a_mounted_folder_whose_server_is_away_for_a_while(mounted: Mounted) -> None:
    hosts, run = mounted.cluster.hosts, mounted.sweep("mounted", *SLOWLY)
    mounted.reported("mounted")
    hosts.cable(SPARE, plugged=False)
    time.sleep(20)
    hosts.cable(SPARE, plugged=True)
    mounted.ended("storage is a mounted folder, whose server has no cable for 20 s", "mounted", run)
    assert not [trial.failures for trial in mounted.history("mounted").trials.values() if trial.failures]


def test_credentials_that_expire_and_are_renewed(laptop: Laptop) -> None:
    run = laptop.sweep("renewed", *SLOWLY)
    laptop.reported("renewed")
    store, key = laptop.store, "another-key"
    store.grant(key, SECRET)
    store.revoke(KEY)
    time.sleep(10)
    laptop.cluster.hosts.give(key, SECRET)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("AWS_ACCESS_KEY_ID", key)
            laptop.ended("the S3's credentials expire, and are renewed 10 s later", "renewed", run)
    finally:
        store.grant(KEY, SECRET)
        laptop.cluster.hosts.give(KEY, SECRET)
        store.revoke(key)
    assert not [trial.failures for trial in laptop.history("renewed").trials.values() if trial.failures]


def test_one_trial_on_two_hosts_is_the_trial_on_one(laptop: Laptop) -> None:
    """Two workers of two CPUs each, on hosts of two: gloo over the network between them."""
    finals = []
    for name, workers in (("alone", "1"), ("ddp", "2")):
        words = ("--trials", "2", "--cpus-per-trial", "2", "--workers-per-trial", workers)
        run = laptop.sweep(name, *words)
        laptop.accounted(name, run)
        finals.append(
            [trial.reports[-1].metrics["validation/error"].value for trial in laptop.history(name).trials.values()]
        )
    for number in range(len(finals[1])):
        assert sorted(laptop.hosts("ddp", number, 1)) == sorted(WORKERS)
    assert finals[1] == pytest.approx(finals[0], abs=1e-6)
    most = max(abs(alone - together) for alone, together in zip(*finals, strict=True))
    outcome("the same trials with one worker, and with two on two hosts", f"they differ by {most:.1e} at most")


def test_a_group_that_loses_a_host_goes_on_with_fewer_workers(laptop: Laptop) -> None:
    hosts = laptop.cluster.hosts
    sizes = ("--trials", "3", "--cpus-per-trial", "2", "--workers-per-trial", "1", "--most-workers-per-trial", "2")
    run = laptop.sweep("elastic", *sizes, *SLOWLY)
    lost = laptop.reported("elastic", "two")
    assert {len(laptop.hosts("elastic", number, 1)) for number in lost} == {2}
    hosts.crash("two")
    try:
        wait_until(lambda: all(laptop.hosts("elastic", number, 2) for number in lost), 180, "it is not begun again")
        assert [laptop.hosts("elastic", number, 2) for number in lost] == [["one"]]
    finally:
        hosts.boot("two")
    laptop.ended(
        "one of the two hosts of a trial loses its power",
        "elastic",
        run,
        lambda: "it goes on with one worker on the other",
    )
    trial = laptop.history("elastic").trials[lost[0]]
    assert (trial.cause, trial.failures - trial.excused) == ("lost", 0)


def test_a_head_that_dies_and_is_brought_up_again(laptop: Laptop) -> None:
    """Last: it takes the tunnel with it."""
    cluster, run = laptop.cluster, laptop.sweep("head", *SLOWLY)
    laptop.reported("head")
    cluster.hosts.crash(HEAD)
    cluster.hosts.boot(HEAD)
    run.terminate()
    run.wait(60)
    cluster.up()
    reports = sum(len(trial.reports) for trial in laptop.history("head").trials.values())
    with cluster.tunnel() as url:
        again = Laptop(cluster, url, laptop.store)
        run = again.type(SCRIPT, "--storage", laptop.storage, "--resume", "head")
        out = again.ended("the head dies; `ray up`, `--resume`", "head", run)
    assert "sweep head in" in out
    assert sum(len(trial.reports) for trial in laptop.history("head").trials.values()) > reports
