"""Memory that is given back at once in a process that recomputes."""

from __future__ import annotations

import platform
import subprocess
import sys
from types import SimpleNamespace

import pytest

from leadline.training.allocator import MAPPED, MAPPED_RECOMPUTING, VARIABLE, mapped_from

PROGRAM = """
import sys
from types import SimpleNamespace

import torch

from leadline.training.allocator import set_mapping
from leadline.training.guards.memory import Host

set_mapping(SimpleNamespace(recompute=sys.argv[1] == "again"))
for _ in range(2):  # freed once, pieces of this size come from the heap by themselves
    pieces = [torch.ones(2**21) for _ in range(32)]
    full = Host().held()
    del pieces[::2]
    left = Host().held()
    del pieces
print((full - left) / 2**20)
"""


def _given_back(how: str) -> float:
    """MiB that a fresh process has given back of the 128 that it freed."""
    found = subprocess.run([sys.executable, "-c", PROGRAM, how], check=True, capture_output=True, text=True)
    return float(found.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's allocator alone is set")
def test_freed_memory_is_given_back_where_activations_are_recomputed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert _given_back("again") > 100
    assert _given_back("not") < 50


def test_pieces_are_mapped_from_the_size_that_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert mapped_from(SimpleNamespace()) == mapped_from(SimpleNamespace(recompute=False)) == MAPPED
    assert mapped_from(SimpleNamespace(recompute=True)) == MAPPED_RECOMPUTING < MAPPED
    monkeypatch.setenv(VARIABLE, "65536")
    assert mapped_from(SimpleNamespace(recompute=True)) == mapped_from(SimpleNamespace()) == 65536
