"""The memory's guard. The machine's own figures are only compared with much larger ones."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from leadline.finding import Finding
from leadline.training.guards import memory
from leadline.training.guards.guard import Interval
from leadline.training.guards.memory import Device, Host, Memory, meter
from tests.leadline.training.guards.mistakes import (
    MISTAKES,
    Mistakes,
    MistakesConfig,
    MistakesTask,
    findings,
    interval,
    told,
    watched,
)

MB = 2**20
linux = pytest.mark.skipif(sys.platform != "linux", reason="the peak of resident memory is reset through /proc")


class LargeTask(MistakesTask):
    def __init__(self, config: MistakesConfig, data: Any, device: torch.device) -> None:
        super().__init__(config, data, device)
        self.model = LARGE.model(config)
        self.optimizers, self.schedulers = [torch.optim.Adam(self.model.parameters(), lr=1e-4)], []


class Large(Mistakes):
    """26 million parameters, 104 MB; Adam needs as much again three times: gradients and two moments."""

    name = "large"

    def task(self, config: MistakesConfig, data: Any, device: torch.device) -> MistakesTask:
        return LargeTask(config, data, device)

    def model(self, config: MistakesConfig) -> nn.Module:
        torch.manual_seed(config.seed)
        return nn.Sequential(nn.Linear(config.width, 5000), nn.Tanh(), nn.Linear(5000, 5200), nn.Linear(5200, 1))


LARGE = Large()


@linux
def test_a_forward_only_probe_claims_that_it_fits_and_the_guard_knows_better() -> None:
    host = Host()
    limit = (host.held() + 300 * MB) / 0.9
    guard = Memory(limit)
    loop = watched(LARGE, guard, steps=3, eval_every=3)
    host.reset()
    loop.task.losses(loop.model, loop.task.batch(0), 0.0)
    assert host.peak() < 0.9 * limit, "the probe: parameters and activations fit"
    found = told(loop)
    assert [finding.failed for finding in found] == [True]
    assert found[0].number > 0.9 * limit
    assert "(forward, backward, optimizer): more than 90% of the " in found[0].sentence


@linux
def test_a_run_that_fits_says_its_peak_once() -> None:
    found = told(watched(MISTAKES, Memory(), steps=400, eval_every=50))
    assert [(finding.failed, finding.subject) for finding in found] == [(False, "step")]
    assert 50 * MB < found[0].number < 0.9 * Host().limit()
    assert found[0].sentence.startswith("a full step peaks at ")


@linux
def test_a_leak_is_caught() -> None:
    found = [
        finding
        for finding in told(watched(MISTAKES, Memory(), fault="leak", steps=160, eval_every=10))
        if finding.subject == "leak"
    ]
    assert [finding.failed for finding in found] == [True]
    assert 2000 * MB < found[0].number < 6000 * MB, "40 MB every 10 steps"
    assert "by the end of the budget" in found[0].sentence


@linux
def test_the_peak_is_reset_and_outlives_what_it_counted() -> None:
    host = Host()
    before = host.peak()
    torch.ones(100 * MB // 4)
    assert host.fresh
    assert host.peak() > max(before, host.held() + 80 * MB)
    host.reset()
    assert host.peak() < host.held() + 20 * MB


class Scripted:
    """A meter that reads what the test wants, in MB."""

    fresh = True

    def __init__(self, peaks: list[float], held: list[float], limits: list[float]) -> None:
        self.peaks, self.holds, self.limits = iter(peaks), iter(held), iter(limits)

    def reset(self) -> None:
        pass

    def peak(self) -> float:
        return next(self.peaks) * 1e6

    def held(self) -> float:
        return next(self.holds) * 1e6

    def limit(self) -> float:
        return next(self.limits) * 1e6


def _read(
    peaks: list[float],
    held: list[float],
    guard: Memory | None = None,
    first: int = 0,
    limits: list[float] | None = None,
) -> list[Finding]:
    guard = guard or Memory(1e9)
    guard._meter = Scripted(peaks, held, limits or [])
    found = []
    for i in range(first, first + len(peaks)):
        guard.before_forward(10 * i)
        guard.after_update(10 * i)
        found += findings(guard, [_at(i)])
    return found


def _at(index: int) -> Interval:
    return interval(10 * (index + 1), 1.0, budget=1000)


def test_a_peak_is_repeated_where_it_changes_by_a_tenth_or_passes_the_limit() -> None:
    found = _read([500, 540, 560, 520, 880, 910, 880], [100] * 7)
    assert [(finding.failed, finding.number / 1e6) for finding in found] == [
        (False, 500),
        (False, 560),
        (False, 880),
        (True, 910),
        (False, 880),
    ]
    assert found[0].sentence == "a full step peaks at 500 MB (forward, backward, optimizer)"
    assert found[3].sentence.endswith(": more than 90% of the 1 GB that this process may hold")


def test_neighbours_that_come_later_count() -> None:
    """The limit is what there is at the report, said when the peak passes it and when it no longer
    does, also after a resume.
    """
    guard = Memory()
    found = _read([500, 500, 500, 520], [100] * 4, guard, limits=[4000, 4000, 540, 540])
    assert [(finding.failed, finding.number / 1e6) for finding in found] == [(False, 500), (True, 500)]
    assert found[1].sentence.endswith(": more than 90% of the 540 MB that this process may hold")
    again = Memory()
    again.load_state_dict(guard.state_dict())
    found = _read([520, 520], [100] * 2, again, first=4, limits=[540, 4000])
    assert [(finding.failed, finding.number / 1e6) for finding in found] == [(False, 520)]


def test_a_limit_that_was_given_stays() -> None:
    found = _read([500, 500], [100] * 2, Memory(540e6), limits=[])
    assert [(finding.failed, finding.number / 1e6) for finding in found] == [(True, 500)]


def test_a_leak_needs_steady_growth_that_matters() -> None:
    rising = [300.0 + 20 * i for i in range(10)]
    leak = _read([10] * 10, rising)[1:]
    assert [finding.subject for finding in leak] == ["leak"], "said once"
    assert leak[0].number == pytest.approx(2e9), "bytes per 1000 steps"
    assert leak[0].sentence.endswith("320 MB at step 20, 420 MB at step 70, 2.28 GB by the end of the budget")
    healthy = (
        [300, *[500] * 9],
        [300 + i for i in range(10)],
        [400 + 80 * (i % 2) for i in range(10)],
        [9000 + 20 * i for i in range(10)],
    )
    for held in healthy:
        assert [finding.subject for finding in _read([10] * 10, [float(size) for size in held])] == ["step"]


def test_a_system_without_peaks_says_so_once() -> None:
    found = _read([math.nan] * 4, [100] * 4)
    assert [finding.sentence for finding in found] == ["the peak memory of a step cannot be measured on this system"]


def test_a_resumed_trial_does_not_repeat_itself_and_begins_a_new_series() -> None:
    first, second = Memory(1e9), Memory(1e9)
    rising = [300.0 + 20 * i for i in range(5)]
    assert [finding.subject for finding in _read([500] * 5, rising, first)] == ["step"]
    second.load_state_dict(first.state_dict())
    assert _read([510] * 5, rising, second, first=5) == [], "another process, whose memory starts again"
    assert [finding.subject for finding in _read([510] * 3, [400, 420, 440], second, first=10)] == ["leak"]
    third = Memory(1e9)
    third.load_state_dict(second.state_dict())
    assert _read([510] * 10, [300.0 + 20 * i for i in range(10)], third, first=13) == []


def test_without_a_reset_the_peak_is_the_process_s(tmp_path: Path) -> None:
    host = Host(tmp_path / "nowhere")
    assert not host.fresh
    assert host.peak() >= 0.5 * host.held()


@pytest.mark.parametrize(
    ("folder", "limit", "usage"),
    [("", "memory.max", "memory.current"), ("memory", "memory.limit_in_bytes", "memory.usage_in_bytes")],
)
def test_the_control_groups_limit_counts(tmp_path: Path, folder: str, limit: str, usage: str) -> None:
    place = tmp_path / folder
    place.mkdir(exist_ok=True)
    assert memory._cgroup_available(tmp_path) == math.inf
    for name, text in ((limit, "1000\n"), (usage, "700\n"), ("memory.stat", "anon 1\ninactive_file 50\n")):
        (place / name).write_text(text)
    assert memory._cgroup_available(tmp_path) == 350
    (place / limit).write_text("max\n")
    assert memory._cgroup_available(tmp_path) == math.inf


def test_a_share_of_a_gpu_is_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (60e9, 80e9))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 2e9)
    for fraction, limit in ((0.25, 20e9), (1.0, 62e9)):
        monkeypatch.setattr(
            torch.cuda, "get_per_process_memory_fraction", lambda device, share=fraction: share, raising=False
        )
        assert meter(torch.device("cuda")).limit() == limit


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpus_peak_is_that_of_its_tensors() -> None:
    device = Device(torch.device("cuda"))
    device.reset()
    before = device.held()
    torch.ones(100 * MB // 4, device="cuda")
    assert device.peak() >= before + 100 * MB
    device.reset()
    assert device.peak() < before + 50 * MB
