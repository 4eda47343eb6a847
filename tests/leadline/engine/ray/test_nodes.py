"""What fits on which nodes, what is said where nothing does, and what a job's command line becomes."""

from __future__ import annotations

import dataclasses
import threading
from pathlib import Path
from typing import Any

import pytest

from leadline.config import ConfigError
from leadline.engine.options import Request as Asked
from leadline.engine.ray import autoscaler
from leadline.engine.ray.autoscaler import Autoscaler, node_types
from leadline.engine.ray.cluster import Cluster
from leadline.engine.ray.jobs import _arguments
from leadline.engine.ray.placement import reservation
from leadline.engine.ray.probing import unlike_here
from leadline.engine.ray.room import Node, Request, lacking, room
from leadline.storage import Folder

HEAD = Node("a", "head", {"memory": 1e9}, {})
SMALL = Node("b", "small", {"CPU": 2.0}, {"disk": "ssd"})
LARGE = Node("c", "large", {"CPU": 16.0, "GPU": 2.0}, {"gpu": "a100", "disk": "ssd"})


@pytest.mark.parametrize(
    ("request_", "trials"),
    [
        (Request(1, 0), 18),
        (Request(4, 0), 4),
        (Request(0.1, 0), 180),
        (Request(1, 1), 2),
        (Request(1, 2), 1),
        (Request(1, 0.25), 8),
        (Request(1, 0.3), 6),  # three on each GPU: a share is never of two
        (Request(1, 3), 0),
        (Request(1, 0, where={"gpu": "a100"}), 16),
        (Request(1, 0, where={"gpu": "h100"}), 0),
        (Request(4, 0, workers=2), 2),
        (Request(2, 0, workers=9), 1),  # its workers are on both nodes
        (Request(1, 1, workers=3), 0),
    ],
)
def test_how_many_trials_fit(request_: Request, trials: int) -> None:
    assert room([HEAD, SMALL, LARGE], request_) == trials


def test_what_is_missing_is_named() -> None:
    said = lacking([HEAD, SMALL], [], Request(1, 0.25))
    assert said == (
        "a trial needs CPU 1 and GPU 0.25: GPU is missing; nodes: head no CPU; small CPU 2; the cluster adds none by itself"  # noqa: E501
    )
    assert "no node type has it either (small CPU 2)" in lacking([HEAD], [SMALL], Request(1, 1))
    assert "waiting for the autoscaler" in lacking([HEAD], [LARGE], Request(1, 1))
    assert "a node with these labels is missing" in lacking([LARGE], [], Request(1, 0, where={"gpu": "h100"}))
    assert "more at a time is missing" in lacking([SMALL], [], Request(1, 0, workers=4))


def test_packages_that_differ_are_named() -> None:
    here = {"python": "3.11.7", "torch": "2.13.0"}
    assert unlike_here(here, dict(here)) == ""
    assert (
        unlike_here(here, {"python": "3.12.1"})
        == "python 3.12.1 (the driver has 3.11.7), torch missing (the driver has 2.13.0)"
    )


def test_the_autoscalers_node_types_are_those_of_ray_up(tmp_path: Path) -> None:
    assert node_types(tmp_path) == []
    (tmp_path / "ray_bootstrap_config.yaml").write_text(
        "provider: {type: aws}\navailable_node_types:\n"
        "  head: {resources: {CPU: 0}, max_workers: 0}\n  gpu: {resources: {CPU: 8, GPU: 1}, labels: {gpu: a10g}, max_workers: 9}\n"  # noqa: E501
    )
    assert node_types(tmp_path) == [Node("", "gpu", {"CPU": 8, "GPU": 1}, {"gpu": "a10g"})]
    (tmp_path / "ray_bootstrap_config.yaml").write_text(
        "provider: {type: local}\navailable_node_types:\n  local: {resources: {CPU: 8}}\n"
    )
    assert node_types(tmp_path) == []


def test_an_autoscaler_is_asked_for_what_the_sweep_can_use(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of Ray's part nothing is there: what would be asked is noted."""
    asked: list[tuple[int, Any]] = []
    monkeypatch.setattr(
        autoscaler,
        "request_resources",
        lambda bundles, bundle_label_selectors: asked.append((len(bundles), bundle_label_selectors[:1])),
    )
    cluster, wanted = Cluster.__new__(Cluster), [3]
    cluster.request, cluster.most, cluster.wanted = Request(1, 1, 2, {"gpu": "a100"}, 2), None, lambda: wanted[0]
    cluster._nodes, cluster._lock, cluster._blocked = {}, threading.Lock(), False
    cluster._autoscaler = asks = Autoscaler(cluster.request)
    asks.types = []

    def ask() -> list[tuple[int, Any]]:
        asked.clear()
        cluster._ask()
        return list(asked)

    assert ask() == [], "there is no autoscaler"
    asks.types = [LARGE]
    assert ask() == [(6, [{"gpu": "a100"}])], "two workers of each of three trials"
    assert ask() == [], "it has been asked"
    asks._asked_at -= autoscaler.AGAIN_SECONDS + 1
    assert [count for count, _ in ask()] == [6], "they are not there yet, and another sweep may have asked for less"
    cluster._nodes = {"1": LARGE, "2": LARGE, "3": LARGE}
    asks._asked_at -= autoscaler.AGAIN_SECONDS + 1
    assert ask() == [], "they are there"
    cluster.most = 2
    assert [count for count, _ in ask()] == [4]
    cluster.most, wanted[0] = None, 10**6
    assert [count for count, _ in ask()] == [2 * autoscaler.MOST_ASKED]
    cluster._blocked = True
    assert [count for count, _ in ask()] == [0], "more of what is refused is no use"


def test_a_place_is_reserved_on_nodes_that_passed_their_probe() -> None:
    def kept(factory: Any) -> dict[str, Any]:
        return dict(factory._bound.kwargs)

    alone = reservation(Request(2, 0.5), {})
    assert alone.bundles == [{"CPU": 2, "GPU": 0.5}]
    assert "bundle_label_selector" not in kept(alone)
    chosen = reservation(Request(2, 0.5, workers=2), {"ray.io/node-id": "in(b,c)"})
    assert chosen.bundles == [{"CPU": 0.02}]
    assert kept(chosen)["bundle_label_selector"] == [{"ray.io/node-id": "in(b,c)"}]


def test_a_job_is_told_for_certain_what_only_this_machine_knows(tmp_path: Path) -> None:
    asked = Asked({}, {}, None, None, "results", None, None, False)
    given = ["--trials", "4", "--address", "auto", "--storage=results", "lr=0.1", "--name", "old"]
    words = _arguments(given, asked, "new", Folder.at("/shared/x"), tmp_path)
    assert words == ["--trials", "4", "lr=0.1", "--name", "new", "--storage", "/shared/x"]
    resumed = Asked({}, {}, None, None, "results", None, "old", False)
    assert _arguments(["--resume", "old"], resumed, "old", Folder.at("/shared/x"), tmp_path) == [
        "--resume",
        "old",
        "--storage",
        "/shared/x",
    ]
    (tmp_path / "first.yaml").touch()
    first = Asked({"enqueue": tmp_path / "first.yaml"}, {}, None, None, "results", None, None, False)
    words = _arguments(["--enqueue", str(tmp_path / "first.yaml")], first, "new", Folder.at("/shared/x"), tmp_path)
    assert words[2:4] == ["--enqueue", "first.yaml"]
    elsewhere = dataclasses.replace(first, given={"enqueue": Path("/elsewhere.yaml")})
    with pytest.raises(ConfigError, match=r"^enqueue: /elsewhere\.yaml must lie below "):
        _arguments(["--enqueue", "/elsewhere.yaml"], elsewhere, "new", Folder.at("/shared/x"), tmp_path)
