"""A finished sweep with a real ledger, whose trials the ordinary loop has trained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from leadline.checkpoint import CheckpointStore
from leadline.config import TrialConfig, to_dict
from leadline.family import Family
from leadline.ledger.events import Action, Closed, Opened, Proposed, Reported, Started
from leadline.ledger.segments import Ledger
from leadline.ledger.settings import Settings
from leadline.measure import Report
from leadline.storage import Folder
from leadline.training.loop import Loop

__all__ = ["trained_sweep"]


def trained_sweep(
    folder: Path,
    family: Family[Any],
    configs: Sequence[TrialConfig],
    data: Any,
    *,
    study: str = "stages",
    stratify: str = "arm",
    stratum: Any = "joint",
    called: str = "",
    like: TrialConfig | None = None,
    reported: Callable[[int, Report], Report] = lambda trial, report: report,
) -> Path:
    """Trains a trial of each configuration, all in one stratum, and returns the sweep's folder.

    Args:
        folder: the sweep's.
        family: what is trained.
        configs: one for each trial; they differ in no budget.
        data: what all of them train on.
        study: its name.
        stratify: the field that divides it.
        stratum: the one that there is.
        called: the family's name in the ledger; by default its own.
        like: has the budget of all trials; by default the first, which a sweep without any lacks.
        reported: makes what is recorded of a trial's report.
    """
    place, first = Folder.at(str(folder)), like or configs[0]
    metric = family.metric(family.objective)
    settings = Settings(
        study=study,
        family=called or family.name,
        metric=metric.name,
        mode=metric.mode,
        sampler="random",
        scale="smoke",
        stratify=stratify,
        strata=(stratum,),
        trials=max(1, len(configs)),
        budget=first.steps,
        grace=first.eval_every,
        reduction=2,
        startup=1,
        seed=0,
        confirm=0,
        replicates=1,
        fields={},
        overrides={},
    )
    ledger = Ledger(place / "ledger")
    ledger.append(Opened(time=0.0, settings=settings, manifest={}))
    for trial, config in enumerate(configs):
        plain = to_dict(config)
        ledger.append(
            Proposed(time=0.0, trial=trial, stratum=str(stratum), kind="search", of=None, params={}, config=plain)
        )
        ledger.append(Started(time=0.0, trial=trial, attempt=1))
        loop = Loop(family, config, data, store=CheckpointStore(place / "trials" / f"{trial:04d}"))
        for told in loop.run():
            report = reported(trial, told)
            action: Action = "finish" if report.step == config.steps else "continue"
            ledger.append(Reported(time=1.0, trial=trial, report=report, action=action, reason=""))
    ledger.append(Closed(time=1.0, how="done"))
    ledger.close()
    return folder
