"""The on-premise cluster for real: `ray up`, tokens, a pulled cable, `ray down`."""

from __future__ import annotations

import json
import time

import pytest

from tests.cluster.hosts import ROOT, wait_until
from tests.cluster.testbed import HEAD, LAPTOP, WORKERS, Cluster

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

NODES = {HEAD, *WORKERS}
TASK_ON_EACH = """
import json, os, socket, ray
ray.init(address="auto", log_to_driver=False)
@ray.remote
def where():
    return socket.gethostname(), os.environ.get("AWS_REQUEST_CHECKSUM_CALCULATION")
nodes = [n["NodeID"] for n in ray.nodes() if n["Alive"] and n["Resources"].get("CPU")]
place = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy
print(json.dumps(ray.get([where.options(scheduling_strategy=place(n, soft=False)).remote() for n in nodes])))
"""


def test_a_task_runs_on_each_worker_and_none_on_the_head(cluster: Cluster) -> None:
    assert cluster.alive() == NODES
    hosts = json.loads(cluster.python(TASK_ON_EACH).splitlines()[-1])
    assert sorted(hosts) == [[worker, "when_required"] for worker in sorted(WORKERS)]


def test_all_nodes_have_the_one_token_that_the_head_made(cluster: Cluster) -> None:
    tokens = {cluster.hosts.own(host, "home/.ray/auth_token").read_text() for host in (*NODES, LAPTOP)}
    assert tokens == {cluster.token}
    assert len(cluster.token) >= 32
    modes = {cluster.hosts.own(host, "home/.ray/auth_token").stat().st_mode & 0o777 for host in NODES}
    assert modes == {0o600}


def test_the_token_is_in_no_log_and_no_command_line(cluster: Cluster) -> None:
    for node in NODES:
        assert cluster.hosts.run(node, "grep", "-rlF", cluster.token, "/tmp", check=False).stdout == ""
    assert not [line for line in cluster.running() if cluster.token in line]


@pytest.mark.parametrize("token", [[], ["0" * 64]], ids=["missing", "wrong"])
def test_without_the_token_the_dashboard_refuses(cluster: Cluster, token: list[str]) -> None:
    assert cluster.get("/api/v0/nodes", *token) in ("401", "403")
    assert cluster.get("/api/jobs/", *token) in ("401", "403")


@pytest.mark.parametrize(
    "token",
    [{"RAY_AUTH_MODE": "disabled"}, {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0" * 64}],
    ids=["missing", "wrong"],
)
def test_without_the_token_no_node_joins(cluster: Cluster, token: dict[str, str]) -> None:
    joins = cluster.hosts.run(
        LAPTOP, "ray", "start", f"--address={cluster.address}", check=False, timeout=240, environment=token
    )
    assert joins.returncode != 0, joins.stdout
    assert "token" in (joins.stdout + joins.stderr).lower()
    assert cluster.alive() == NODES


def test_the_dashboard_is_reached_by_its_tunnel_only(cluster: Cluster) -> None:
    connect = "import socket, sys; socket.create_connection((sys.argv[1], 8265), 5)"
    direct = cluster.hosts.run(LAPTOP, "python", "-c", connect, cluster.hosts.ip(HEAD), check=False)
    assert "ConnectionRefusedError" in direct.stderr
    with cluster.tunnel() as url:
        jobs = cluster.hosts.run(LAPTOP, "ray", "job", "list", "--address", url, environment=cluster.environment)
    assert jobs.returncode == 0


def test_a_pulled_cable_is_noticed_and_a_plugged_one_too(cluster: Cluster) -> None:
    worker = WORKERS[0]
    begin = time.monotonic()
    cluster.hosts.cable(worker, plugged=False)
    wait_until(lambda: cluster.alive() == NODES - {worker}, 40, "the node still counts as alive")
    print(f"a pulled cable is noticed in {time.monotonic() - begin:.1f} s")
    cluster.hosts.cable(worker, plugged=True)
    back = wait_until(lambda: cluster.alive() == NODES, 180, "the node is not back")
    print(f"a plugged one in {back:.1f} s")


def test_ray_down_leaves_nothing_and_ray_up_brings_all_back(cluster: Cluster) -> None:
    token = cluster.token
    begin = time.monotonic()
    after = cluster.down()
    print(f"ray down took {time.monotonic() - begin - after:.1f} s, and {after:.1f} s later nothing ran on any host")
    assert cluster.running() == []
    begin = time.monotonic()
    after = cluster.up()
    print(f"ray up took {time.monotonic() - begin - after:.1f} s, and {after:.1f} s later all nodes were there")
    assert cluster.token == token


def test_the_nodes_have_the_project_without_results(cluster: Cluster) -> None:
    for node in NODES:
        project = cluster.hosts.own(node, "home/leadline")
        assert (project / "sweeps" / "lookahead.py").read_bytes() == (ROOT / "sweeps" / "lookahead.py").read_bytes()
        assert not [path for path in project.iterdir() if path.name in ("results", ".git", "tests")]
