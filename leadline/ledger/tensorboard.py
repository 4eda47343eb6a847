"""TensorBoard event files, one for each trial, made of the history alone.

A trial's run has its reports, with the times at which they were recorded, and the searched fields
and the stratum as hyperparameters. Replicates have no hyperparameters, as they are no trials of the
search. One more run has the columns of TensorBoard's table, which it takes from a single place.

A file is named after the trial's last event, and made of the same events it is the same, byte for
byte. So what is there need not be written again.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterable, Mapping
from typing import Any

from leadline.config import as_text
from leadline.ledger import leaderboard
from leadline.ledger.history import History, Trial
from leadline.storage import Folder

__all__ = ["FOLDER", "TABLE", "hyperparameters", "run_name", "write", "write_run", "write_table"]

EXACT = 2**53
"""Integers up to this one, and no larger ones, are all 64-bit floats, too."""
FOLDER = "tensorboard"
"""The folder of the runs in that of a sweep."""
TABLE = "hyperparameters"
"""The name of the run that has the columns of the table."""
NEWEST = "brain.Event:2"
"""The version of the event files, with which each of them begins."""
STATUS = {"finished": "STATUS_SUCCESS", "failed": "STATUS_FAILURE", "running": "STATUS_RUNNING"}
"""TensorBoard's word for what became of a trial; STATUS_UNKNOWN for one that was stopped, whose
values are of less than the whole budget, or that waits."""


def run_name(trial: Trial) -> str:
    """Returns the name of a trial's run, which is also that of its folder."""
    return f"trial-{trial.number:04d}" if trial.of is None else f"replicate-{trial.number:04d}-of-{trial.of:04d}"


def hyperparameters(history: History, trial: Trial) -> dict[str, bool | float | str]:
    """Returns the stratum and the searched fields of a trial, as TensorBoard keeps them.

    It has text, booleans and 64-bit floats: what is none of them, and an integer that no such float
    holds, is text.
    """
    if trial.kind == "replicate":
        return {}
    found = dict(trial.params)
    if field := history.settings.stratify:
        levels = {str(level): level for level in history.settings.strata}
        found = {field: levels.get(trial.stratum, trial.stratum), **found}
    return {name: _hparam(value) for name, value in found.items()}


def write(history: History, folder: Folder) -> None:
    """Writes the runs of all trials below `folder`, and removes what else is there.

    Runs that are there as they should be are left alone.
    """
    there: dict[str, set[str]] = {}
    for name in folder.sizes(recursive=True):
        run, _, file = name.partition("/")
        there.setdefault(run, set()).add(file)
    trials = list(history.trials.values())
    wanted = {run_name(trial): _trial_file(trial) for trial in trials}
    if columns := _columns(history, trials):
        wanted[TABLE] = _table_file(columns)
    for run in there.keys() - wanted.keys():
        (folder / run).delete()
    for trial in trials:
        if there.get(run_name(trial)) != {_trial_file(trial)}:
            write_run(history, trial, folder)
    if columns and there.get(TABLE) != {_table_file(columns)}:
        write_table(history, folder)


def write_run(history: History, trial: Trial, folder: Folder) -> None:
    """Writes a trial's run below `folder`, in place of an older one."""
    from tensorboardX.proto import event_pb2, plugin_hparams_pb2, summary_pb2

    began = trial.began or trial.since
    events = [event_pb2.Event(wall_time=trial.since, file_version=NEWEST)]
    if given := hyperparameters(history, trial):
        start = plugin_hparams_pb2.SessionStartInfo(start_time_secs=began)
        for name, value in given.items():
            kind = "bool" if isinstance(value, bool) else "string" if isinstance(value, str) else "number"
            setattr(start.hparams[name], f"{kind}_value", value)
        summary = _plugin_summary("session_start_info", start)
        events.append(event_pb2.Event(wall_time=began, summary=summary))
    for report, moment in zip(trial.reports, trial.moments, strict=True):
        values = {name: measure.value for name, measure in report.metrics.items()} | report.facts
        scalars = [summary_pb2.Summary.Value(tag=name, simple_value=value) for name, value in values.items()]
        summary = summary_pb2.Summary(value=scalars)
        events.append(event_pb2.Event(wall_time=moment, step=report.step, summary=summary))
    if given:
        end = plugin_hparams_pb2.SessionEndInfo(
            status=STATUS.get(trial.status, "STATUS_UNKNOWN"), end_time_secs=0 if trial.open else trial.until
        )
        events.append(event_pb2.Event(wall_time=trial.until, summary=_plugin_summary("session_end_info", end)))
    _replace(folder / run_name(trial), _trial_file(trial), events)


def write_table(history: History, folder: Folder) -> set[str]:
    """Writes the run with the columns of the table below `folder`.

    They are the hyperparameters of all trials, whose names it returns, the objective, and the other
    metrics on validation.
    """
    from tensorboardX.proto import api_pb2, event_pb2

    columns = _columns(history, list(history.trials.values()))
    objective = leaderboard.objective(history)
    names = history.settings.metrics or history.settings.modes
    metrics = dict.fromkeys([objective, *map(leaderboard.metric_name, names)])
    table = api_pb2.Experiment(
        hparam_infos=[api_pb2.HParamInfo(name=name, type=kind) for name, kind in columns.items()],
        metric_infos=[api_pb2.MetricInfo(name=api_pb2.MetricName(tag=name)) for name in metrics],
    )
    moment = history.manifests[0]["time"] if history.manifests else 0.0
    events = [
        event_pb2.Event(wall_time=moment, file_version=NEWEST),
        event_pb2.Event(wall_time=moment, summary=_plugin_summary("experiment", table)),
    ]
    _replace(folder / TABLE, _table_file(columns), events)
    return set(columns)


def _columns(history: History, trials: Iterable[Trial]) -> dict[str, str]:
    """Returns the hyperparameters of trials, each with TensorBoard's word for its type."""
    found: dict[str, str] = {}
    for trial in trials:
        for name, value in hyperparameters(history, trial).items():
            kind = "BOOL" if isinstance(value, bool) else "STRING" if isinstance(value, str) else "FLOAT64"
            found[name] = (
                f"DATA_TYPE_{kind}" if found.get(name, f"DATA_TYPE_{kind}")[10:] == kind else "DATA_TYPE_STRING"
            )
    return found


def _trial_file(trial: Trial) -> str:
    return f"events.out.tfevents.{trial.until:017.6f}"


def _table_file(columns: Mapping[str, str]) -> str:
    return f"events.out.tfevents.{zlib.crc32(json.dumps(columns).encode()):010d}"


def _plugin_summary(name: str, content: Any) -> Any:
    """Returns a summary that holds something for the plugin of the hyperparameters.

    Names and messages are those of TensorBoard's `plugins/hparams/metadata.py`.
    """
    from tensorboardX.proto import plugin_hparams_pb2, summary_pb2

    data = plugin_hparams_pb2.HParamsPluginData(version=0, **{name: content})
    plugin = summary_pb2.SummaryMetadata.PluginData(plugin_name="hparams", content=data.SerializeToString())
    metadata = summary_pb2.SummaryMetadata(plugin_data=plugin)
    return summary_pb2.Summary(value=[summary_pb2.Summary.Value(tag=f"_hparams_/{name}", metadata=metadata)])


def _replace(run: Folder, name: str, events: Iterable[Any]) -> None:
    """Makes a run of one file, in TensorFlow's record format.

    A record is the length of a message and the message, each with its checksum.
    """
    # Imported here, because tensorboardX imports boto3, which would add about a tenth to the start
    # of each trial's process.
    from tensorboardX.record_writer import masked_crc32c

    parts = []
    for event in events:
        data = event.SerializeToString()
        length = struct.pack("<Q", len(data))
        parts += [length, struct.pack("<I", masked_crc32c(length)), data, struct.pack("<I", masked_crc32c(data))]
    run.delete()
    run.write(name, b"".join(parts))


def _hparam(value: Any) -> bool | int | float | str:
    kept = isinstance(value, bool | float | str) or (isinstance(value, int) and abs(value) <= EXACT)
    return value if kept else as_text(value)
