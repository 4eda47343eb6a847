"""Shared by the chaos runs: their seed, and a Ceph whose gateway is killed."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Iterator

import pytest

from tests.ceph import KEY, SECRET, Ceph


@pytest.fixture(scope="session")
def seed() -> int:
    """CHAOS_SEED repeats the plan of a run."""
    return int(os.environ.get("CHAOS_SEED", random.SystemRandom().randrange(2**32)))


@pytest.fixture(scope="module")
def ceph() -> Iterator[Ceph]:
    """A real S3 gateway, in front of a store that outlives it."""
    if shutil.which("radosgw") is None:
        pytest.skip("needs Ceph, which Debian has: see `make chaos`")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", KEY)
        patch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
        server = Ceph()
        server.at("").files.create_dir("bucket")
        yield server
        server.end()
