"""Drains the node of a spot machine once the cloud says that it takes the machine away.

Usage: python clusters/notice.py aws|gcp. cluster.yaml and clusters/gcp.yaml start it on each
worker, as Ray itself asks no cloud. It ends with the node's raylet, or once the node is draining.
The environment's METADATA_URL stands for another place of the metadata service.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from datetime import datetime
from http.client import HTTPException
from pathlib import Path
from typing import NamedTuple

__all__ = ["CLOUDS", "Cloud", "Notice", "Raylet", "alone", "aws", "gcp", "raylets", "watch"]

ANSWER_SECONDS = 2.0  # of the metadata service
DRAIN_SECONDS = 15.0  # of the command that drains
GCP_SECONDS = 30.0
"""The seconds for which a machine of Google's runs on after its notice, at most."""
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # no proxy reaches the machine's own service


class Notice(NamedTuple):
    """The cloud's plan for the machine, in words, and when: Unix time in seconds."""

    what: str
    when: float


class Raylet(NamedTuple):
    """A running raylet: its process, its node's id, and HOST:PORT of its cluster's head."""

    pid: int
    node: str
    head: str


class Cloud(NamedTuple):
    """How a cloud is asked, where, and the pause between two questions in seconds."""

    ask: Callable[[str], Notice | None]
    url: str
    pause: float


def aws(url: str) -> Notice | None:
    """Returns the notice of Amazon's metadata service, version 2, if there is one.

    It comes two minutes ahead. A recommendation to rebalance is no notice. Source:
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html.

    Raises:
        OSError: the service refuses or does not answer.
        ValueError: what it says cannot be understood.
    """
    token = _get(f"{url}/latest/api/token", {"X-aws-ec2-metadata-token-ttl-seconds": "60"}, "PUT")
    try:
        text = _get(f"{url}/latest/meta-data/spot/instance-action", {"X-aws-ec2-metadata-token": token})
    except urllib.error.HTTPError as error:
        if error.code == 404:
            return None
        raise
    try:
        found = json.loads(text)
        return Notice(
            f"AWS: {found['action']} at {found['time']}",
            datetime.strptime(found["time"], "%Y-%m-%dT%H:%M:%S%z").timestamp(),
        )
    except (ValueError, KeyError, TypeError):
        raise ValueError(f"not a notice: {text[:200]!r}") from None


def gcp(url: str) -> Notice | None:
    """Returns the notice of Google's metadata service, if there is one; it comes 30 s ahead.

    Source: https://cloud.google.com/compute/docs/instances/create-use-spot#detect-preemption.

    Raises:
        OSError: the service refuses or does not answer.
        ValueError: what it says cannot be understood.
    """
    text = _get(f"{url}/computeMetadata/v1/instance/preempted", {"Metadata-Flavor": "Google"}).strip()
    if text not in ("TRUE", "FALSE"):
        raise ValueError(f"not a notice: {text[:200]!r}")
    return Notice("Google Cloud: preempted", time.time() + GCP_SECONDS) if text == "TRUE" else None


CLOUDS = {"aws": Cloud(aws, "http://169.254.169.254", 5.0), "gcp": Cloud(gcp, "http://metadata.google.internal", 1.0)}


def _get(url: str, headers: dict[str, str], method: str = "GET") -> str:
    """Returns the text of an answer."""
    with _DIRECT.open(urllib.request.Request(url, headers=headers, method=method), timeout=ANSWER_SECONDS) as answer:
        return str(answer.read(), "utf-8")


def raylets() -> list[Raylet]:
    """Returns the raylets that run on this machine."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            program, *words = file.read_text(errors="replace").split("\0")
        except OSError:  # ended meanwhile
            continue
        options = dict(word.removeprefix("--").split("=", 1) for word in words if "=" in word)
        if Path(program).name == "raylet" and {"node_id", "gcs-address"} <= options.keys():
            found.append(Raylet(int(file.parent.name), options["node_id"], options["gcs-address"]))
    return sorted(found)


def alone(raylet: Raylet) -> socket.socket | None:
    """Takes the right to watch for a raylet; None if another process has it.

    The right ends with the socket or its process.
    """
    right = socket.socket(socket.AF_UNIX)
    try:
        right.bind(f"\0leadline-notice-{raylet.node}")  # an abstract name: no file is left behind
    except OSError:
        right.close()
        return None
    return right


def watch(cloud: Cloud, raylet: Raylet, ray: Path) -> None:
    """Waits for a notice and drains the raylet's node with the command `ray`.

    It stops if the raylet ends before, and tries again what fails.
    """
    notice, told = None, ""
    while raylet in raylets():
        try:
            if notice is None and (notice := cloud.ask(cloud.url)):
                logging.info(notice.what)
            if notice:
                return _drain(raylet, notice, ray)
            trouble = ""
        except (OSError, ValueError, HTTPException, subprocess.SubprocessError) as error:
            trouble = f"will be tried again: {error or type(error).__name__}"
        if trouble not in ("", told):
            logging.info(trouble)
        told = trouble
        time.sleep(cloud.pause)
    logging.info("node %s has ended", raylet.node)


def _drain(raylet: Raylet, notice: Notice, ray: Path) -> None:
    """Drains a raylet's node; raises OSError if Ray refuses."""
    left = max(1, int(notice.when - time.time()))
    why = [
        "--reason",
        "DRAIN_NODE_REASON_PREEMPTION",
        "--reason-message",
        notice.what,
        "--deadline-remaining-seconds",
        str(left),
    ]
    command = [str(ray), "drain-node", "--address", raylet.head, "--node-id", raylet.node, *why]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=DRAIN_SECONDS)
    if done.returncode:
        raise OSError(f"ray drain-node: {(done.stdout + done.stderr).strip()[-500:]}")
    logging.info("node %s is draining, %d s remain", raylet.node, left)


def main() -> None:
    """Watches for this machine's raylet, unless another process does."""
    logging.basicConfig(format="%(asctime)s %(message)s", level=logging.INFO, stream=sys.stdout)
    if len(sys.argv) != 2 or sys.argv[1] not in CLOUDS:
        sys.exit(f"usage: python {sys.argv[0]} {'|'.join(CLOUDS)}")
    cloud, running = CLOUDS[sys.argv[1]], raylets()
    if not running:
        sys.exit("no raylet runs here: start this after `ray start`")
    if right := alone(running[-1]):
        with right:
            logging.info("watching for notices of %s for node %s", sys.argv[1], running[-1].node)
            cloud = cloud._replace(url=os.environ.get("METADATA_URL", cloud.url))
            watch(cloud, running[-1], Path(sys.executable).with_name("ray"))


if __name__ == "__main__":
    main()
