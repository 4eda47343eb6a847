"""Trains one configuration in this process, without Ray, under a debugger if you like.

    leadline train                                     the families that are installed
    leadline train collatz --help                      the fields of a family
    leadline train collatz lookahead=100 steps=2000    one configuration
    leadline train collatz --preset run7 --scale 0.02  a published run's configuration, shrunk;
                                                       fields may follow
    leadline train --from results/NAME 7               trial 7 of a sweep again, from its ledger row
    leadline train --from results/NAME 7 steps=500     the same with another field

Prints a line at each evaluation, then the last facts and the trivial predictors on the same rows.
`--save FOLDER` keeps checkpoints and goes on from them; `--device cuda` trains on a GPU; `--threads
N` gives it more than the one thread of a trial. A family whose audit fails or says nothing of
overlap, or that has no trivial predictor, is refused, as in a sweep. Exit code 0, 2 for bad input
or a refusal, 130 when interrupted.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from leadline import registry
from leadline.command_line import Command, columns, count, device, fields_text, reflowed
from leadline.config import ConfigError, TrialConfig, parse_overrides, to_dict
from leadline.errors import calling, raised
from leadline.family import Family
from leadline.measure import PART, Measure

if TYPE_CHECKING:
    from leadline.checkpoint import CheckpointStore
    from leadline.training.loop import Loop

__all__ = ["NOT_KEPT", "TRAIN"]

REFUSED = 2
"""Exit code where the family is refused."""
NOT_KEPT = "nothing was kept; --save FOLDER keeps checkpoints for `leadline predict FOLDER`"
_REPORTS = ("eval_every", "validation_share")
"""Fields that say when a training reports, and what: they train nothing."""
_MACHINE = ("guards_share", "scoring_share", "micro_batch", "gpu_memory")
"""Names of facts about the machine rather than the training, which are not printed."""


def _arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("words", nargs="*", metavar="FAMILY [field=value ...]", help="a family, then its fields")
    parser.add_argument(
        "--from", dest="sweep", metavar="SWEEP", help="train a trial of this sweep again: --from SWEEP 7"
    )
    parser.add_argument("--preset", metavar="NAME", help="begin with a published run's configuration")
    parser.add_argument("--scale", metavar="X", help="shrink the preset, 0.02 to a fiftieth [1]")
    parser.add_argument("--save", metavar="FOLDER", help="keep checkpoints there, and go on from them")
    parser.add_argument("--device", default="cpu", metavar="NAME", help="where to train, such as cuda [cpu]")
    parser.add_argument("--threads", type=count, default=1, metavar="N", help="threads, as a trial has one [1]")


def _from_ledger(sweep: str, number: str) -> tuple[Family[Any], dict[str, Any]]:
    """The family and the configuration of a trial, by the sweep's ledger."""
    from leadline.analysis.sweep import near, place
    from leadline.ledger.history import History
    from leadline.ledger.segments import LedgerError, read

    folder = place(sweep)
    if not folder.exists("ledger"):
        raise ConfigError(f"from: there is no sweep at {sweep}{near(folder)}")
    try:
        history = History.of(read(folder / "ledger"))
    except LedgerError as error:
        raise ConfigError(f"from: {error}") from None
    if not number.isdigit() or int(number) not in history.trials:
        raise ConfigError(f"from: {sweep} has no trial {number}; it has 0 to {max(history.trials, default=0)}")
    trial = history.trials[int(number)]
    if trial.extended:
        before = ", then ".join(map(str, trial.extended))
        print(
            f"note: trial {number} began with a budget of {before}; "
            "this run has the last one's schedules from its first step on"
        )
    return history.settings.model_family(), trial.trained_config


def _preset(family: Family[Any], name: str | None, scale: str | None) -> dict[str, Any]:
    """The fields that a preset sets; none without a name."""
    if name is None:
        if scale is not None:
            raise ConfigError("scale: shrinks a preset, so say which: --preset NAME")
        return {}
    if name not in family.presets:
        raise ConfigError(f"preset: {family.name} has no {name!r}; it has {', '.join(family.presets) or 'none'}")
    try:
        share = float(scale or 1)
    except ValueError:
        share = math.nan
    if not 0 < share <= 1:
        raise ConfigError(f"scale: must be a number above 0 and at most 1 (got {scale!r})")
    with calling(f"preset: {name}"):
        return to_dict(family.presets[name](share))


def _details(words: Sequence[str]) -> str:
    """The presets and fields of the family that was named, for the help."""
    named = TRAIN.parser("train").parse_intermixed_args(words).words
    if not named:
        return ""
    family = registry.family(named[0])
    known = f"presets of {named[0]}: {', '.join(family.presets)}"
    presets = f"\n{reflowed(known, columns())}\n" if family.presets else ""
    return f"{presets}\nfields of {named[0]}:\n{fields_text(family.Config, columns())}\n"


def _show(family: Family[Any], measures: Mapping[str, Measure]) -> str:
    """Metrics on validation, each with its interval, in the order of `Family.metrics`."""
    shown = []
    for metric in family.metrics:
        labels = (f"validation/{metric.name}", metric.name, f"{PART}/{metric.name}")
        label = next((label for label in labels if label in measures), "")
        if measure := measures.get(label):
            spread = f" [{measure.low:.4g}, {measure.high:.4g}] n={measure.n}" if measure.low != measure.high else ""
            part = " of a part" if label.startswith(f"{PART}/") else ""
            shown.append(f"{metric.name} {measure.value:.4g}{spread}{part}")
    return ", ".join(shown)


def _same_run(store: CheckpointStore | None, family: Family[Any], config: TrialConfig) -> None:
    """Refuses to go on from the checkpoint of another run.

    Only when it reports, and what, may change.
    """
    found = store.newest() if store else None
    if store is None or found is None:
        return
    before = {**found.record["config"], "family": found.record["family"]}
    for name, value in {"family": family.name, **to_dict(config)}.items():
        # A field that the record lacks is newer than the run, whose default changes nothing.
        if name not in _REPORTS and name in before and before[name] != value:
            raise ConfigError(
                f"{name}: {store.folder} holds a run with {name}={before.get(name)}; save this one elsewhere"
            )


def _heartbeat(store: CheckpointStore | None, loop: Loop) -> contextlib.AbstractContextManager[Any]:
    """Beside the checkpoints, if they are kept, a file says how far the training is."""
    from leadline.checkpoint import attempt_folder
    from leadline.heartbeat import Heartbeat

    if store is None:
        return contextlib.nullcontext()
    made = Heartbeat(store.folder, store.attempt, f"{store.folder.name}/{attempt_folder(store.attempt)}")
    made.watch(loop)
    return made


def _train(family: Family[Any], values: dict[str, Any], save: str | None, where: str, threads: int) -> bool:
    """Trains a configuration and prints its reports; returns False where the family is refused."""
    import torch

    from leadline.admission import admission
    from leadline.checkpoint import CheckpointStore
    from leadline.storage import Folder
    from leadline.training.loop import Loop

    config = family.config(values)
    torch.set_num_threads(threads)
    place = device(where)
    store = CheckpointStore(Folder.at(save)) if save else None
    _same_run(store, family, config)
    data = family.build_data(config)
    admitted = admission(family, config, data)
    for finding in admitted.findings:
        print(f"{finding.guard}: {finding.sentence}")
    for reason in admitted.refusals:
        print(f"refused {reason}", file=sys.stderr)
    if admitted.refusals:
        return False
    loop = Loop(family, config, data, store=store, device=place)
    print(f"training {config.steps} steps, with a report every {config.eval_every}", flush=True)
    with _heartbeat(store, loop):
        for report in loop.run():
            scores = _show(family, report.metrics)
            done = f"step {report.step}/{config.steps} after {report.seconds:.1f} s"
            print(f"{done}: {scores}; loss {report.facts['loss']:.4g}")
            for found in report.findings:
                print(f"    {'guard' if found.failed else 'note'}: {found.mark}: {found.sentence}")
    told = {name: value for name, value in report.facts.items() if name not in _MACHINE}
    print("facts: " + ", ".join(f"{name} {value:.4g}" for name, value in told.items()))
    for name, measures in admitted.baselines["validation"].items():
        print(f"{name}: {_show(family, measures)}")
    if store is None:
        print(NOT_KEPT)
    return True


def _run(given: argparse.Namespace) -> int:
    """Trains and returns the exit code: 0, or 2 after one line for each reason to refuse."""
    words = list(given.words)
    if not words and not given.sweep:
        print(reflowed(f"{__doc__}\nfamilies: {', '.join(registry.names())}", columns()))
        return 0
    if given.sweep:
        if given.preset or given.scale:
            raise ConfigError("preset: a trial of a sweep has its own configuration; give either --from or --preset")
        if not words:
            raise ConfigError("from: say which trial, as in --from results/NAME 7")
        family, values = _from_ledger(given.sweep, words.pop(0))
    else:
        family = registry.family(words.pop(0))
        values = _preset(family, given.preset, given.scale)
    try:
        trained = _train(family, {**values, **parse_overrides(words)}, given.save, given.device, given.threads)
    except OSError as error:
        raise ConfigError(f"save: {error}") from None
    except SystemExit as error:  # of the family's: it must not look like an end without a fault
        raise raised(error) from error
    return 0 if trained else REFUSED


TRAIN = Command("trains one configuration in this process, without Ray", _arguments, _run, __doc__ or "", _details)
