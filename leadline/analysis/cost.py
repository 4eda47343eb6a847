"""What a sweep cost: time by what it was spent on, samples, machine hours, and money."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from leadline.analysis import progress
from leadline.ledger.history import History, Trial
from leadline.plain import plural

__all__ = ["Cost", "cost", "rows"]


@dataclass(frozen=True)
class Cost:
    """The cost of a sweep, in sums over trials of search and confirmation alike.

    Attributes:
        training: seconds of training alone.
        overhead: seconds of evaluating, saving and guards.
        waiting: seconds that trials held their places and did neither: starting, being placed and
            decided on, and attempts that were lost after their last report.
        guards: seconds of guards, part of `overhead`; NaN where no report says.
        steps: optimizer steps.
        samples: training samples.
        driver: seconds from the first to the last event of each run of the driver.
        cpu_hours: the driver's hours times the CPUs of its machine; NaN where a run does not say
            how many.
        gpu_hours: the driver's hours times the GPUs of its machine; 0 where the manifests name
            none.
    """

    training: float
    overhead: float
    waiting: float
    guards: float
    steps: int
    samples: int
    driver: float
    cpu_hours: float
    gpu_hours: float

    @property
    def guards_share(self) -> float:
        """The share of guards in the time of training and guards; NaN where no report says."""
        return self.guards / (self.training + self.guards) if self.training else math.nan

    def money(self, price: float) -> float:
        """Returns what the sweep cost at `price` for an hour of the machine, idle or not."""
        return self.driver / 3600 * price


def cost(history: History, trials: Sequence[Trial] | None = None) -> Cost:
    """Returns the cost of a sweep as far as it has come.

    Args:
        history: the state of the sweep.
        trials: the trials whose time, steps and samples are summed; None for all. The driver's time
            is always the whole sweep's.
    """
    chosen = list(history.trials.values()) if trials is None else trials
    last = [trial.reports[-1] for trial in chosen if trial.reports]
    training, overhead = sum(report.seconds for report in last), sum(report.overhead for report in last)
    shares = [(report.facts.get("guards_share", math.nan), report.seconds) for report in last]
    # Reports give the guards' share of the time of training and guards together, so that their time
    # is share / (1 - share) of the training time.
    guarding = [share / (1 - share) * seconds for share, seconds in shares if share < 1]
    held = sum(
        max(0.0, trial.wall - (trial.reports[-1].seconds + trial.reports[-1].overhead if trial.reports else 0))
        for trial in chosen
    )
    spans = [
        (manifest.get("until", manifest["time"]) - manifest["time"], manifest.get("machine", {}))
        for manifest in history.manifests
    ]
    return Cost(
        training,
        overhead,
        held,
        sum(guarding) if guarding else math.nan,
        sum(report.step for report in last),
        sum(report.samples for report in last),
        sum(seconds for seconds, _ in spans),
        sum(seconds * machine.get("cpus", math.nan) for seconds, machine in spans) / 3600,
        sum(seconds * machine.get("gpus", 0) for seconds, machine in spans) / 3600,
    )


def rows(history: History, price: float | None = None) -> list[tuple[str, str]]:
    """Returns the cost in words, a row each: what, and how much.

    Args:
        history: the state of the sweep.
        price: the price of an hour of the driver's machine, in any currency; None leaves money out.
    """
    whole = cost(history)
    replicates = cost(history, [trial for trial in history.trials.values() if trial.kind == "replicate"])
    runs = len(history.manifests)
    found = [
        ("driver's time", f"{progress.duration(whole.driver)} in {plural(runs, 'run')}"),
        (
            "training",
            f"{progress.duration(whole.training)}, "
            f"of which {progress.duration(replicates.training)} confirming finalists",
        ),
        ("evaluating, saving, guards", f"{progress.duration(whole.overhead)}{_share(whole.overhead, whole.training)}"),
        ("guards alone", _guards(whole)),
        ("starting, placing, waiting", progress.duration(whole.waiting)),
        ("optimizer steps", f"{whole.steps:,}"),
        ("training samples", f"{whole.samples:,}"),
        ("machine hours", _machine_hours(whole)),
    ]
    return [*found, *([] if price is None else [("money", _money(whole, price))])]


def _share(part: float, training: float) -> str:
    return f", {100 * part / training:.1f} % of the training time" if training else ""


def _guards(whole: Cost) -> str:
    if math.isnan(whole.guards):
        return "not recorded"
    return f"{progress.duration(whole.guards)}, {100 * whole.guards_share:.2f} % of the time of training and guards"


def _machine_hours(whole: Cost) -> str:
    hours = f"{whole.driver / 3600:.3g} h of the driver's machine"
    cpus = "" if math.isnan(whole.cpu_hours) else f", {whole.cpu_hours:.3g} CPU hours"
    return hours + cpus + (f", {whole.gpu_hours:.3g} GPU hours" if whole.gpu_hours else "")


def _money(whole: Cost, price: float) -> str:
    return f"{whole.money(price):.2f} at {price:g} per machine hour; machines besides the driver's are not counted"
