"""Every view of a sweep says what its ledger says, in value and in type; docs/usage.md has the rules."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import math
import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pandas
import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from optuna.distributions import distribution_to_json
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna_dashboard import get_note

from leadline import Sweep
from leadline.analysis import frame, notes
from leadline.analysis.commands.optuna_dashboard import FILE
from leadline.analysis.report import document
from leadline.commands.dispatch import main
from leadline.ledger import tensorboard
from leadline.ledger.events import Event
from leadline.storage import Folder
from tests.leadline.analysis import packed
from tests.leadline.analysis.every_fate import Book, Recorded, histories, recorded, write

EXAMPLES = int(os.environ.get("LEADLINE_EXAMPLES", "8"))
"""How many random sweeps each view is compared on."""
few = settings(max_examples=EXAMPLES)


@contextlib.contextmanager
def stored(events: list[Event]) -> Iterator[tuple[Path, Sweep, Book]]:
    """The events in a folder of their own, as the package reads them, and as they are."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = write(events, Path(scratch) / "every")
        yield folder, Sweep.open(folder), recorded(folder)


def plain(value: Any) -> Any:
    """A cell as Python's own value; None where it is missing."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or value is pandas.NA or (isinstance(value, float) and math.isnan(value)):
        return None
    return value


def same(found: Any, expected: Any, where: object = "") -> None:
    """The same value of the same type, with the sign of a zero and the type of a list's parts."""
    assert (type(found), repr(found)) == (type(expected), repr(expected)), where


def column(values: Sequence[Any]) -> list[Any]:
    """What a table holds for the values of a field: integers among floats are floats, where that is no change."""
    kinds = {type(value) for value in values if value is not None}
    changed = kinds == {int, float} and all(float(value) == value for value in values if value is not None)
    return [float(value) if changed and value is not None else value for value in values]


def texts(values: Sequence[Any]) -> bool:
    """Whether a file has text for values that no column of one type can hold."""
    return len({type(value) for value in column(values) if value is not None}) > 1


def text(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def fields(book: Book) -> dict[str, list[Any]]:
    """The values of each field by trial, None where a trial has none."""
    names = dict.fromkeys(name for trial in book.trials.values() for name in trial.config)
    return {name: [trial.config.get(name) for _, trial in sorted(book.trials.items())] for name in names}


def trial_row(book: Book, trial: Recorded) -> dict[str, Any]:
    """The row of `table()` but for the marks, which are sentences about other cells."""
    last = trial.last
    return {
        "trial": trial.number,
        **{name: trial.proposed[name] for name in ("kind", "of", "stratum")},
        "status": trial.status,
        **trial.measure("validation/score"),
        "test": trial.value("test/score"),
        "step": last["step"] if last else 0,
        "samples": last["samples"] if last else 0,
        "spent": book.spent(last),
        "unit": book.settings["unit"],
        "seconds": last["seconds"] if last else 0.0,
        "wall": trial.wall,
        "attempts": trial.attempts,
        "failures": trial.failures,
        "reason": trial.reason,
        "checkpoint": trial.checkpoint,
    }


def report_rows(book: Book) -> list[dict[str, Any]]:
    none = {"n": 0, "low": None, "high": None}
    return [
        {
            "trial": trial.number,
            "stratum": trial.proposed["stratum"],
            **{name: report[name] for name in ("step", "samples", "seconds")},
            "spent": book.spent(report),
            "metric": name,
            **{key: measure[key] for key in ("value", "n", "low", "high")},
        }
        for _, trial in sorted(book.trials.items())
        for report in trial.reports
        for name, measure in [
            *report["metrics"].items(),
            *((f"fact/{name}", {"value": fact and float(fact), **none}) for name, fact in report["facts"].items()),
        ]
    ]


def finding_rows(book: Book) -> list[dict[str, Any]]:
    names = ("guard", "stratum", "failed", "number", "sentence")
    audits = [
        {**{name: line[name] for name in names}, "subject": "", "trial": None, "step": None}
        for line in book.of_type("finding")
    ]
    guards = [
        {**finding, "trial": trial.number, "stratum": trial.proposed["stratum"], "step": report["step"]}
        for _, trial in sorted(book.trials.items())
        for report in trial.reports
        for finding in report["findings"]
    ]
    return [*audits, *guards]


def baseline_rows(book: Book) -> list[dict[str, Any]]:
    return [
        {
            **{name: line[name] for name in ("name", "stratum")},
            "oracle": line["name"].startswith("oracle"),
            "metric": name,
            **{key: measure[key] for key in ("value", "n", "low", "high")},
        }
        for line in book.of_type("baseline")
        for name, measure in line["metrics"].items()
    ]


def rows(book: Book) -> dict[str, list[dict[str, Any]]]:
    """The rows of each exported table."""
    trials = [trial_row(book, trial) for _, trial in sorted(book.trials.items())]
    for name, values in fields(book).items():
        for row, value in zip(trials, values, strict=True):
            row[f"config.{name}"] = value
    return {
        "trials": trials,
        "reports": report_rows(book),
        "findings": finding_rows(book),
        "baselines": baseline_rows(book),
    }


@few
@given(histories())
def test_tables(events: list[Event]) -> None:
    with stored(events) as (_, sweep, book):
        made = {
            "trials": sweep.table(constants=True),
            "reports": sweep.reports(),
            "findings": frame.findings(sweep.history),
            "baselines": frame.baselines(sweep.history),
        }
        for name, expected in rows(book).items():
            assert len(made[name]) == len(expected)
            for key in expected[0] if expected else ():
                values = column([row[key] for row in expected])
                for found, value in zip(made[name][key], values, strict=True):
                    same(plain(found), tuple(value) if isinstance(value, list) else value, (name, key))


@few
@given(histories())
def test_parquet_and_csv(events: list[Event]) -> None:
    with stored(events) as (folder, _, book):
        assert main(["export", str(folder)]) == 0
        for name, expected in rows(book).items():
            parquet = pyarrow.parquet.read_table(folder / "export" / f"{name}.parquet").to_pydict()
            with (folder / "export" / f"{name}.csv").open(newline="", encoding="utf-8") as file:
                lines = list(csv.DictReader(file, strict=True))
            assert len(lines) == len(expected)
            for key in expected[0] if expected else ():
                values = [encodable(row[key]) for row in expected]
                _check_parquet(parquet[key], values, (name, key))
                _check_csv([line[key] for line in lines], values, (name, key))


def encodable(value: Any) -> Any:
    """Half a surrogate pair as no file can hold it."""
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value


def _check_parquet(found: list[Any], values: list[Any], where: object) -> None:
    parts = {type(part) for value in values if isinstance(value, list) for part in value}
    as_text = texts(values) or (not parts and any(isinstance(value, list) for value in values))
    for cell, value in zip(found, column(values), strict=True):
        same(plain(cell), text(value) if as_text and value is not None else value, where)


def _check_csv(found: list[str], values: list[Any], where: object) -> None:
    for cell, value in zip(found, column(values), strict=True):
        if value is None:
            assert cell == "", where
        elif isinstance(value, int | float) and not isinstance(value, bool):
            same(type(value)(cell), value, where)
            assert isinstance(value, float) == any(sign in cell for sign in ".en"), (where, cell)
        else:
            assert cell == text(value), where


@few
@given(histories())
def test_json(events: list[Event]) -> None:
    with stored(events) as (folder, _, book):
        with contextlib.redirect_stdout(io.StringIO()) as said:
            assert main(["leaderboard", str(folder), "--json"]) == 0
        board = json.loads(said.getvalue())
        assert sorted(row["trial"] for row in board["rows"]) == sorted(trial.number for trial in book.search)
        for row in board["rows"]:
            trial = book.trials[row["trial"]]
            expected = trial_row(book, trial)
            kept = trial.checkpoint and f"trials/{trial.number:04d}/{trial.checkpoint}"
            expected |= {"checkpoint": kept, "config": trial.trained, "params": trial.proposed["params"]}
            for key, value in row.items():
                if key not in ("marks", "edges"):
                    same(value, expected[key], key)
            assert set(row["edges"]) <= set(row["params"])
        for row, line in zip(board["baselines"], book.of_type("baseline"), strict=True):
            measure = line["metrics"]["validation/score"]
            same(row, {**{key: line[key] for key in ("name", "stratum")}, "value": measure["value"], "n": measure["n"]})
        for row in board["confirmed"]:
            runs = [run for run in book.trials.values() if run.proposed["of"] == row["trial"]]
            assert row["replicates"] == sum(run.status == "finished" for run in runs)
        for number, trial in book.trials.items():
            with contextlib.redirect_stdout(io.StringIO()) as said:
                assert main(["trial", str(folder), str(number), "--json"]) == 0
            found = json.loads(said.getvalue())
            same(found["reports"], trial.reports)
            for key in ("status", "attempts", "failures", "wall", "config"):
                same(found[key], getattr(trial, key), key)
            for key in ("kind", "of", "stratum", "params"):
                same(found[key], trial.proposed[key], key)
            same(found["spent"], book.spent(trial.last))


class Tables(HTMLParser):
    """The tables of a page by the label of their region: rows of cells, as (text, data-sort)."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.found: dict[str, list[list[tuple[str, str | None]]]] = {}
        self._rows: list[list[tuple[str, str | None]]] = []
        self._cell: list[str] | None = None
        self._sort: str | None = None
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if given.get("role") == "region":
            self._rows = self.found.setdefault(given["aria-label"] or "", [])
        elif tag == "tr":
            self._rows.append([])
        elif tag in ("td", "th"):
            self._cell, self._sort = [], given.get("data-sort")

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th") and self._cell is not None:
            self._rows[-1].append(("".join(self._cell), self._sort))
            self._cell = None

    def handle_data(self, data: str) -> None:
        if self._cell is not None:
            self._cell.append(data)

    def rows(self, label: str) -> list[list[tuple[str, str | None]]]:
        """The rows below the heading."""
        return self.found.get(label, [])[1:]


def number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def shown(value: Any) -> str:
    """A field as the page shows it: six significant digits."""
    if isinstance(value, list):
        return ",".join(map(shown, value))
    return f"{value:.6g}" if isinstance(value, float) else str(value)


@settings(max_examples=max(3, EXAMPLES // 3))
@given(histories())
def test_report_page(events: list[Event]) -> None:
    with stored(events) as (folder, _, book):
        assert main(["report", str(folder)]) == 0
        source = (folder / document.FILE).read_bytes().decode()
        page = Tables(source)
        _check_leaderboard(page, book)
        _check_trivial(page, book)
        _check_said(page, book, source)
        _check_curves(source, book)


def _check_leaderboard(page: Tables, book: Book) -> None:
    names = list(dict.fromkeys(key for trial in book.search for key in trial.config))
    values = {name: [trial.config[name] for trial in book.search if name in trial.config] for name in names}
    stratify = book.settings["stratify"]
    varying = [name for name in names if name != stratify and any(one != values[name][0] for one in values[name])]
    searched = list(dict.fromkeys(key for trial in book.search for key in trial.proposed["params"]))
    varying = [name for name in varying if name not in searched]
    found = page.rows("Leaderboard")
    assert sorted(int(row[1][0]) for row in found) == sorted(trial.number for trial in book.search)
    for row in found:
        cells = [cell for cell, _ in row]
        trial = book.trials[int(cells[1])]
        expected = trial_row(book, trial)
        assert (cells[0], cells[2]) == (expected["stratum"], expected["status"])
        configured = bool(varying)
        marked = len(row) - (9 + len(searched) + (book.settings["unit"] == "samples") + configured)
        for index, name in ((3, "value"), (4, "low"), (-2 - marked - configured, "seconds")):
            same(float(row[index][1] or "nan") if row[index][1] != "" else None, expected[name], name)
        assert cells[3] == number(expected["value"])
        assert cells[4] == f"{number(expected['low'])} to {number(expected['high'])}"
        _check_searched(row[5 : 5 + len(searched)], searched, trial.proposed["params"])
        del cells[5 : 5 + len(searched)]
        counted = [expected["samples"]] if book.settings["unit"] == "samples" else []
        counted.append(expected["step"])
        assert cells[5 : 6 + len(counted)] == [str(expected["n"]), *(f"{count:,}" for count in counted)]
        seconds, *rest = cells[6 + len(counted) :]
        config = rest.pop() if configured else ""
        reason = rest.pop()
        assert len(rest) == marked
        assert seconds == f"{expected['seconds']:.1f}"
        assert reason.endswith(encodable(expected["reason"]))
        assert config == " ".join(f"{name}={shown(trial.config[name])}" for name in varying if name in trial.config)


def _check_searched(cells: list[tuple[str, str | None]], names: list[str], params: Mapping[str, Any]) -> None:
    for (words, exact), name in zip(cells, names, strict=True):
        assert words == (shown(params[name]) if name in params else "-")
        assert exact == (text(params[name]) if name in params else "")


def _check_trivial(page: Tables, book: Book) -> None:
    expected = []
    for line in book.of_type("baseline"):
        cells = [line["stratum"], line["name"] + " (not compared)" * line["name"].startswith("oracle")]
        for split in ("validation", "test"):
            measure = line["metrics"][f"{split}/score"]
            interval = f"{number(measure['low'])} to {number(measure['high'])}"
            cells += [number(measure["value"]), interval, str(measure["n"])]
        expected.append(cells)
    assert [[cell for cell, _ in row] for row in page.rows("Trivial predictors")] == expected


def _check_said(page: Tables, book: Book, source: str) -> None:
    audits = [
        [line["guard"], line["stratum"], number(line["number"]), line["sentence"]] for line in book.of_type("finding")
    ]
    assert [[cell for cell, _ in row] for row in page.rows("Passed audits")] == audits
    counts = {(line.get("trial"), line["text"]): line.get("count", 1) for line in book.of_type("noted")}
    for (trial, words), count in counts.items():
        said = ("" if trial is None else f"trial {trial}: ") + words + (f" ({count:,} times)" if count > 1 else "")
        assert re.search(f"<li>{re.escape(_escaped(said))}", source)


def _escaped(words: str) -> str:
    for character, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("'", "&#39;"), ('"', "&#34;")):
        words = words.replace(character, entity)
    return words


def _check_curves(source: str, book: Book) -> None:
    figures = packed.figures(source)
    curves = [
        trace
        for figure in figures
        if (figure["layout"]["xaxis"].get("title") or {}).get("text") in ("optimizer steps", "training samples")
        for trace in figure["data"]
    ]
    drawn = {
        int(found[1]): trace for trace in curves if (found := re.match(r"trial (\d+)", str(trace["hovertext"][0])))
    }
    reported = {trial.number: trial for trial in book.search if any(value is not None for value in _values(trial))}
    assert set(reported) <= set(drawn)
    for number, trial in reported.items():
        assert drawn[number]["x"] == [book.spent(report) for report in trial.reports]
        same(drawn[number]["y"], _values(trial))


def _values(trial: Recorded) -> list[float | None]:
    return [report["metrics"]["validation/score"]["value"] for report in trial.reports]


@few
@given(histories(most=6))
def test_tensorboard(events: list[Event]) -> None:
    with stored(events) as (folder, sweep, book):
        place = folder / "tensorboard"
        tensorboard.write(sweep.history, Folder.at(str(place)))
        names = {trial.number: _run(trial) for trial in book.trials.values()}
        columns = {name for trial in book.search for name in _given(trial, book)}
        assert {path.name for path in place.iterdir()} == {*names.values(), *([tensorboard.TABLE] if columns else [])}
        for trial in book.trials.values():
            found = events_of(place / names[trial.number])
            _check_scalars(found, trial)
            _check_hparams(found, trial, book)
        if columns:
            table = _plugin(events_of(place / tensorboard.TABLE), "experiment")
            assert {column.name for column in table.hparam_infos} == columns
            assert [column.name.tag for column in table.metric_infos] == ["validation/score", "validation/other"]


def _run(trial: Recorded) -> str:
    of = trial.proposed["of"]
    return f"trial-{trial.number:04d}" if of is None else f"replicate-{trial.number:04d}-of-{of:04d}"


def _given(trial: Recorded, book: Book) -> dict[str, Any]:
    """What was searched, and the stratum, which the settings have with its type."""
    field = book.settings["stratify"]
    levels = {str(level): level for level in book.settings["strata"]}
    stratum = {field: levels[trial.proposed["stratum"]]} if field else {}
    return {**stratum, **trial.proposed["params"]}


def events_of(folder: Path) -> Any:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    made = EventAccumulator(str(folder))
    made.Reload()
    return made


def _plugin(found: Any, name: str) -> Any:
    """What a run holds for the plugin of the hyperparameters."""
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    return getattr(HParamsPluginData.FromString(found.PluginTagToContent("hparams")[f"_hparams_/{name}"]), name)


def single(value: float | None) -> float:
    """The value in single precision, which is all that TensorBoard has for a curve."""
    with np.errstate(over="ignore"):
        return float(np.float32(math.nan if value is None else value))


def _check_scalars(found: Any, trial: Recorded) -> None:
    expected: dict[str, list[tuple[float, int, float]]] = {}
    for report, moment in zip(trial.reports, trial.moments, strict=True):
        values = {name: measure["value"] for name, measure in report["metrics"].items()} | report["facts"]
        for name, value in values.items():
            expected.setdefault(name, []).append((moment, report["step"], single(value)))
    assert set(found.Tags()["scalars"]) == set(expected)
    for name, points in expected.items():
        same([(point.wall_time, point.step, float(point.value)) for point in found.Scalars(name)], points, name)


ENDS = {"finished": 1, "failed": 2, "running": 3}
"""TensorBoard's numbers for success, failure and running; 0 is unknown."""


def _check_hparams(found: Any, trial: Recorded, book: Book) -> None:
    given = {} if trial.proposed["kind"] == "replicate" else _given(trial, book)
    if not given:
        assert "hparams" not in found.summary_metadata or not found.PluginTagToContent("hparams")
        return
    start, end = _plugin(found, "session_start_info"), _plugin(found, "session_end_info")
    assert set(start.hparams) == set(given)
    for name, value in given.items():
        held = start.hparams[name]
        same(getattr(held, held.WhichOneof("kind")), _hparam(value), name)
    assert start.start_time_secs == (trial.first or trial.proposed["time"])
    assert end.status == ENDS.get(trial.status, 0)
    assert end.end_time_secs == (0 if trial.status in ("waiting", "running") else trial.until)


def _hparam(value: Any) -> Any:
    """Numbers are 64-bit floats; an integer that none of them is, a list and None are text."""
    if isinstance(value, bool | float | str):
        return value
    return float(value) if isinstance(value, int) and abs(value) <= 2**53 else text(value)


@few
@given(histories())
def test_optuna(events: list[Event]) -> None:
    with stored(events) as (folder, sweep, book):
        notes.add(sweep, 0, "**why** is it so?", "Ada", 1.8e9)
        assert main(["dashboard", str(folder)]) == 0
        storage = JournalStorage(JournalFileBackend(str(folder / FILE)))
        field = book.settings["stratify"]
        last = max(trial.number for trial in book.search)
        whole = optuna.load_study(study_name="every", storage=storage)
        assert [frozen.number for frozen in whole.trials] == [*range(last + 1)]
        for frozen in whole.trials:
            _check_frozen(frozen, book.trials[frozen.number], book, field)
        trial = optuna.trial.Trial(whole, whole.trials[0]._trial_id)
        assert get_note(trial) == "**why** is it so?\n\n*Ada, 2027-01-15 08:00:00 UTC*"
        assert get_note(whole).startswith("* Values are validation/score; a whole trial has ")
        names: dict[str, str | None] = {"every": None}
        if field:
            names |= {f"every, {field} {stratum}": stratum for stratum in book.strata}
        found = optuna.get_all_study_names(storage)
        assert {name.partition(", at ")[0] for name in found} == set(names)
        for name in found:
            study = optuna.load_study(study_name=name, storage=storage)
            assert study.direction.name == {"min": "MINIMIZE", "max": "MAXIMIZE"}[book.settings["mode"]]
            assert study.metric_names == ["validation/score"]
            rung = name.partition(", at ")[2].split(" ")[0]
            stratum = names[name.partition(", at ")[0]]
            searched = [trial for trial in book.search if stratum in (None, trial.proposed["stratum"])]
            kept = [one for one in study.trials if len(one.user_attrs) > 2]
            for frozen, recorded in zip(kept, searched, strict=True):
                _check_frozen(frozen, recorded, book, None if stratum else field, int(rung) if rung else None)


STATES = {"finished": "COMPLETE", "stopped": "PRUNED", "failed": "FAIL", "running": "RUNNING"}


def _check_frozen(
    frozen: optuna.trial.FrozenTrial, trial: Recorded, book: Book, field: str | None, at: int | None = None
) -> None:
    if trial.proposed["kind"] == "replicate":
        said = f"a replicate of trial {trial.proposed['of']}, no trial of the search"
        assert (frozen.state.name, frozen.params) == ("FAIL", {})
        assert frozen.user_attrs == {"trial": trial.number, "reason": said}
        return
    points = [
        (book.spent(report), report["metrics"]["validation/score"]["value"], moment)
        for report, moment in zip(trial.reports, trial.moments, strict=True)
    ]
    curve = {spent: math.nan if value is None else value for spent, value, _ in points if at is None or spent <= at}
    value = trial.value("validation/score") if at is None else curve.get(at, math.nan)
    value = None if value is None or math.isnan(value) else value
    state = "FAIL" if trial.status == "stopped" and not trial.reports else STATES.get(trial.status, "WAITING")
    if trial.status == "waiting" and trial.attempts:
        state = "RUNNING"
    if at is not None and value is not None:
        state = "COMPLETE"
    elif state == "COMPLETE" and value is None:
        state = "PRUNED"
    assert frozen.state.name == state
    same(frozen.value, value if state in ("COMPLETE", "PRUNED") else None)
    same(frozen.intermediate_values, curve)
    _check_params(frozen, trial, book, field)
    moments = {spent: moment for spent, _, moment in reversed(points)}
    ends = state not in ("WAITING", "RUNNING")
    since = None if state == "WAITING" else trial.first or trial.proposed["time"]
    until = (trial.until if at is None else moments.get(at, trial.until)) if ends else None
    for moment, expected in ((frozen.datetime_start, since), (frozen.datetime_complete, until)):
        assert (moment and moment.timestamp()) == (expected and pytest.approx(expected, abs=1e-5))
    _check_attributes(frozen.user_attrs, trial, book)


def _check_params(frozen: optuna.trial.FrozenTrial, trial: Recorded, book: Book, field: str | None) -> None:
    drawn = {name: json.loads(one) for name, one in trial.proposed["distributions"].items()}
    params = dict(trial.proposed["params"])
    if field:
        levels = book.settings["strata"]
        params[field] = next(level for level in levels if str(level) == trial.proposed["stratum"])
        drawn[field] = {"name": "CategoricalDistribution", "attributes": {"choices": levels}}
    assert set(frozen.params) == set(params)
    for name, one in params.items():
        same(frozen.params[name], text(one) if isinstance(one, list) else one, name)
    for name, expected in drawn.items():
        if "choices" in expected["attributes"]:
            choices = [text(one) if isinstance(one, list) else one for one in expected["attributes"]["choices"]]
            expected["attributes"]["choices"] = choices
        same(json.loads(distribution_to_json(frozen.distributions[name])), expected, name)


def _check_attributes(found: dict[str, Any], trial: Recorded, book: Book) -> None:
    """All but the marks, which are sentences about other cells, and the ends of the interval."""
    stratum = {"stratum": trial.proposed["stratum"]} if book.settings["stratify"] else {}
    expected = {"trial": trial.number, "status": trial.status, "reason": trial.reason, **stratum}
    expected["step"] = trial.last["step"] if trial.last else 0
    assert next(iter(found)) == "trial"
    told = {name: value for name, value in found.items() if name in expected}
    assert told == {name: value for name, value in expected.items() if value != ""}
    runs = [
        run
        for run in book.trials.values()
        if run.proposed["of"] == trial.number and run.status == "finished" and run.value("test/score") is not None
    ]
    assert found.get("replicates", 0) == len(runs)
    if runs:
        units = [unit for run in runs for unit in run.measure("test/score")["units"]]
        assert found["confirmed"] == pytest.approx(sum(units) / len(units))
    assert set(found) <= {*expected, "marks", "confirmed", "confirmed low", "confirmed high", "replicates"}
