"""The command line that every sweep has.

Bad input ends here, with one line that names the field and exit code 2, before anything is started.
"""

from __future__ import annotations

import argparse
import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from leadline.command_line import (
    Parser,
    columns,
    duration,
    fields_text,
    finite,
    labels,
    listed,
    local_path,
    some,
    whole,
)
from leadline.config import ConfigError, parse_overrides, to_dict
from leadline.engine.search import Search
from leadline.engine.space_text import fields_in_words, searched, space_text
from leadline.engine.study import Scale, Study
from leadline.errors import calling
from leadline.ledger.settings import CHANGEABLE, SCHEDULERS, Settings
from leadline.plain import plain, plural, type_of
from leadline.standard_streams import show
from leadline.storage import Folder

__all__ = ["Request", "parse", "resumed_settings", "settings"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
"""The pattern of a sweep's name, which is also the name of its folder."""


@dataclasses.dataclass(frozen=True)
class Request:
    """The command line, parsed.

    `given` holds the options that were named, by the field of `Settings` that each one sets;
    `overrides` holds the words `field=value`. An option that was not named is None, or missing in
    `given`.
    """

    given: dict[str, Any]
    overrides: dict[str, str]
    family: str | None
    scale: str | None
    storage: str
    name: str | None
    resume: str | None
    dry_run: bool
    address: str | None = None


def _parser(study: Study, manual: str, families: Sequence[str] = ()) -> Parser:
    parser = Parser(
        prog=f"python sweeps/{study.name}.py",
        description=manual,
        add_help=False,
        usage="%(prog)s [options] [field=value ...]",
    )
    if "laptop" not in study.scales:
        raise ConfigError(
            f"scale: the study {study.name} has none called laptop, the default; it has {', '.join(study.scales)}"
        )
    laptop = study.scales["laptop"]

    def group(title: str, rows: Sequence[tuple[str, Any, str, str]]) -> None:
        section = parser.add_argument_group(title)
        for option, kind, metavar, text in rows:
            section.add_argument(f"--{option}", type=kind, metavar=metavar, default=argparse.SUPPRESS, help=text)

    sizes = {
        name: getattr(laptop, name) for name in ("trials", "budget", "grace", "reduction", "confirm", "replicates")
    }
    unit = "samples" if study.budget == "samples" else "optimizer steps"
    first = "the study's own" if laptop.enqueue else "none"
    default = families[0] if families else study.family
    group("question", [("family", some, "NAME", f"family of models: {', '.join(families)} [{default}]")])
    search = parser.add_argument_group("size (defaults are those of --scale laptop)")
    search.add_argument(
        "--scale",
        choices=sorted(study.scales),
        default=argparse.SUPPRESS,
        help="preset of all sizes; full is the log's own [laptop]",
    )
    for option, what, text in (
        ("trials", "trials", "configurations that the search tries, over all strata"),
        ("budget", unit, "budget of a whole trial"),
        ("grace", unit, "first rung, and the interval between reports"),
        ("reduction", "factor", "one in how many trials goes on at a rung, and the factor between rungs"),
        (
            "confirm",
            "trials per stratum",
            "finalists that are trained again from fresh seeds and scored on the test split; from 2 on, twice as many "
            "race for the runs",
        ),
        ("replicates", "runs", "fresh seeds for each of these finalists"),
    ):
        word = study.budget if option == "budget" else option
        shown = f"{text} [{sizes[option]} {what}]"
        search.add_argument(f"--{word}", dest=option, type=whole, metavar="N", default=argparse.SUPPRESS, help=shown)
    search.add_argument(
        "--scheduler",
        choices=SCHEDULERS,
        default=argparse.SUPPRESS,
        help="which trials rungs stop: those that ASHA would, less a share that grows as rungs predict the end worse "
        "(weighed), all of those (asha), from rungs that differ by trial (brackets), "
        f"none [{laptop.scheduler}]",
    )
    group(
        "search",
        [
            ("seed", whole, "N", "seed of all proposals, initialisations and samples [0]"),
            (
                "enqueue",
                local_path,
                "FILE",
                f"YAML list of configurations to try first, each a mapping of fields [{first}]",
            ),
            ("target", finite, "VALUE", "stop the search when a finished trial reaches this objective [none]"),
            (
                "until",
                _until,
                "DIFFERENCE",
                "stop the search when ten more trials are expected to bring less, or `told`: less than the "
                "confirmation can tell apart [none]",
            ),
            ("time-limit", duration, "TIME", "stop after this time, resumable: 90s, 30m, 2h [none]"),
            (
                "stuck-after",
                duration,
                "TIME",
                "end and retry a trial that makes no step for this time, with its stacks [10m]",
            ),
        ],
    )
    group(
        "placement",
        [
            (
                "concurrent",
                whole,
                "N",
                "trials at a time [what fits this machine, or the cluster as it grows and shrinks]",
            ),
            ("cpus-per-trial", finite, "N", "CPUs of a trial, or of each of its workers; also its threads [1]"),
            (
                "gpus-per-trial",
                finite,
                "N",
                "GPUs of a trial, 0.25 for a quarter; a share is held to its share of memory [0]",
            ),
            ("workers-per-trial", whole, "N", "data-parallel workers of a trial (Ray Train) [1]"),
            (
                "most-workers-per-trial",
                whole,
                "N",
                "up to so many, if there is room when an attempt begins [--workers-per-trial]",
            ),
            (
                "where",
                labels,
                "LABEL=VALUE",
                "labels of a cluster's nodes that trials may use, such as gpu=a100,spot=yes [any]",
            ),
            (
                "address",
                some,
                "ADDRESS",
                "http://HOST:PORT of a cluster's dashboard, HOST:PORT of its head, auto, or local "
                "[RAY_ADDRESS, or auto]",
            ),
        ],
    )
    group(
        "results",
        [
            ("storage", some, "URI", "folder or s3:// gs:// that holds the sweeps, one folder each [results]"),
            ("name", str, "NAME", f"name of the sweep [{study.name}-DATE-TIME]"),
            (
                "storage-patience",
                duration,
                "TIME",
                "wait so long for a storage that refuses or is silent, then stop, resumable [2m]",
            ),
            (
                "mirror",
                _mirror,
                "URI",
                "second place, to which ledger, checkpoints and report are copied meanwhile; none for no more [none]",
            ),
            ("resume", str, "NAME", f"go on with that sweep; a larger --trials or --{study.budget} extends it"),
        ],
    )
    other = parser.add_argument_group("other")
    other.add_argument(
        "--dry-run", action="store_true", default=argparse.SUPPRESS, help="print the plan and start nothing"
    )
    other.add_argument("-h", "--help", action="store_true", default=argparse.SUPPRESS, help="print this")
    parser.add_argument(
        "overrides", nargs="*", metavar="field=value", help="fix a field of the family; it is then not searched"
    )
    return parser


def _until(word: str) -> float | str:
    """Reads a difference of the objective, or `told`.

    Raises:
        ArgumentTypeError: for any other word.
    """
    if word == "told":
        return word
    try:
        return finite(word)
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(f"expected a difference such as 0.01, or told (got {word!r})") from None


def _mirror(word: str) -> str:
    """Reads a second place, as it is recorded: empty for none, and independent of where we are.

    Raises:
        ArgumentTypeError: if it cannot be used.
    """
    if "\0" in word:
        raise argparse.ArgumentTypeError("must be a folder or a URI")
    try:
        return "" if word == "none" else Folder.at(some(word)).uri
    except ConfigError as error:
        raise argparse.ArgumentTypeError(str(error).removeprefix("storage: ")) from None


def _help(parser: Parser, study: Study, scale: str) -> str:
    """The help: the options, what is searched at a scale, and the family's fields."""
    from leadline import registry

    family = registry.family(study.family)
    width = columns()
    told = [*_space_lines(study, scale), f"\nfields of {family.name}:", fields_text(family.Config, width)]
    return parser.format_help() + "\n" + "\n".join(told) + "\n"


def _space_lines(study: Study, scale_name: str) -> list[str]:
    """What is searched at a scale, and what is dealt to trials or fixed there instead."""
    scale, label = study.scales[scale_name], study.stratify or "stratum"
    dealt = {str(one): study.arms[str(one)] if study.arms else {label: one} for one in scale.strata}
    lines = space_text(searched(study.space, scale_name, dealt if study.stratify else {"": {}}), label)
    told = [f"searched at --scale {scale_name}:", *(listed(f"  {line}", "", 4, columns()) for line in lines)]
    if study.stratify:
        told.append(listed("  dealt", f"{label}: {', '.join(dealt)}", 9, columns()))
    for name, fields in dealt.items() if study.arms else ():
        told.append(listed(f"    {name}:", fields_in_words(fields), 12, columns()))
    return [*told, listed("  fixed", fields_in_words(scale.fields), 9, columns())]


def parse(study: Study, arguments: Sequence[str], manual: str) -> Request:
    """Reads the command line.

    Raises:
        ConfigError: for anything that cannot be accepted as such.
        SystemExit: after printing the help.
    """
    asked = study
    study = study.of(_family(arguments))
    try:
        given = vars(_parser(study, manual).parse_intermixed_args(list(arguments)))
    except ConfigError as error:  # a refusal names the field, which has no dashes
        raise ConfigError(str(error).removeprefix("--")) from None
    if given.pop("help", False):
        # Which families answer is known when all are imported, so only the help says it.
        show(_help(_parser(study, manual, asked.families), study, given.get("scale", "laptop")).rstrip())
        raise SystemExit(0)
    special = {
        key: given.pop(key, None)
        for key in ("overrides", "family", "scale", "storage", "name", "resume", "dry_run", "address")
    }
    for option in ("name", "resume"):
        if special[option] is not None and not _NAME.fullmatch(special[option]):
            raise ConfigError(
                f"{option}: must be letters, digits, '.', '_' or '-', without a path (got {special[option]!r})"
            )
    if special["name"] and special["resume"]:
        raise ConfigError("name: a resumed sweep keeps its name; give --resume alone")
    return Request(
        given=given,
        overrides=parse_overrides(special["overrides"] or []),
        family=special["family"],
        scale=special["scale"],
        storage=special["storage"] or "results",
        name=special["name"],
        resume=special["resume"],
        dry_run=bool(special["dry_run"]),
        address=special["address"],
    )


def _family(arguments: Sequence[str]) -> str | None:
    """What `--family` says; the defaults of the other options depend on it."""
    finder = Parser(add_help=False)
    finder.add_argument("--family")
    found: str | None = finder.parse_known_args(list(arguments))[0].family
    return found


def _enqueued(path: Path) -> tuple[dict[str, Any], ...]:
    try:
        entries = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"enqueue: cannot read {path}: {str(error).splitlines()[0]}") from None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ConfigError(f"enqueue: {path} must hold a list of mappings, such as '- {{lr: 0.001}}'")
    return tuple(
        {str(name): plain(value, f"enqueue: entry {at}: {name}") for name, value in entry.items()}
        for at, entry in enumerate(entries, start=1)
    )


def settings(study: Study, request: Request, *, alone: bool = True) -> Settings:
    """The settings of a new sweep: those of the scale, changed by the command line.

    Args:
        study: what the script asks.
        request: the command line.
        alone: whether the sweep runs on this machine alone.

    Raises:
        ConfigError: naming the option or field.
    """
    study = study.of(request.family)
    scale_name = request.scale or "laptop"
    scale: Scale = study.scales[scale_name]
    names = ("trials", "budget", "grace", "reduction", "confirm", "replicates", "strata", "startup", "scheduler")
    sizes = {name: getattr(scale, name) for name in names}
    given = {key: value for key, value in request.given.items() if key != "enqueue"}
    if given.get("seed", 0) < 0:
        raise ConfigError(f"seed: must not be negative (got {given['seed']})")
    overrides: dict[str, Any] = dict(request.overrides)
    for reserved, option in (("steps", study.budget), ("seed", "seed"), ("eval_every", "grace")):
        if reserved in overrides:
            raise ConfigError(f"{reserved}: say --{option}, which the whole sweep needs to know")
    if study.stratify and study.stratify in overrides:
        sizes["strata"] = _strata(study, overrides.pop(study.stratify))
    with calling("study: shared"):
        shared = study.shared(sizes["strata"])
    if not isinstance(shared, Mapping):
        raise ConfigError(f"study: shared: returned {type_of(shared)}; it must return a dict of fields")
    shared = {name: value for name, value in plain(shared, "study: shared").items() if name not in overrides}
    from leadline import registry

    family = registry.family(study.family)
    metric = family.metric(study.metric or family.objective)
    for name in {name: None for one in study.contrasts for name in one.margins}:
        family.metric(name)
    made = Settings(
        study=study.name,
        family=study.family,
        family_target="" if ":" in study.family else registry.target(study.family),
        metric=metric.name,
        mode=metric.mode,
        sampler=study.sampler,
        scale=scale_name,
        stratify=study.stratify,
        fields={**scale.fields, **shared},
        overrides=overrides,
        question=study.question,
        arms={name: dict(fields) for name, fields in study.arms.items()},
        unit=study.budget,
        comparable=study.comparable,
        beside=tuple(name for name in family.beside if name != metric.name),
        modes={one.name: one.mode for one in family.metrics},
        metrics={one.name: one.to_dict() for one in family.metrics},
        contrasts=_contrasts(study, sizes["strata"]),
        least_units=study.least_units,
        enqueue=_enqueued(request.given["enqueue"]) if "enqueue" in request.given else (),
        **{"seed": 0, **sizes, **given},
    )
    if alone and made.where:
        raise ConfigError("where: labels are those of a cluster's nodes; this machine alone has none")
    made = dataclasses.replace(made, overrides=_typed(made))
    if "enqueue" not in request.given:
        made = dataclasses.replace(made, enqueue=tuple(_first(study, made, scale))[: made.trials])
    check_configurations(study, made)
    return made


def _contrasts(study: Study, strata: Sequence[Any]) -> tuple[dict[str, Any], ...]:
    """The study's contrasts whose two strata are both in the sweep, as plain values."""
    return tuple(
        {"a": one.a, "b": one.b, "margins": dict(one.margins)}
        for one in study.contrasts
        if {one.a, one.b} <= set(map(str, strata))
    )


def _first(study: Study, made: Settings, scale: Scale) -> Iterator[dict[str, Any]]:
    """Yields the study's own configurations to try first.

    Each is reduced to the parameters that the space asks for, given what the sweep fixes.
    """
    for stratum in made.strata:
        fixed = {**made.overrides, **made.dealt(stratum)}
        for entry in scale.enqueue.get(str(stratum), ()):
            search = Search(study.space, made.scale, sampler="random", seed=0, startup=1, pinned=fixed)
            asked, _ = search.ask(0, {name: value for name, value in entry.items() if name not in fixed})
            dealt = {made.stratify: stratum} if made.stratify else {}
            yield {**dealt, **{name: value for name, value in entry.items() if name in asked}}


def _typed(made: Settings) -> dict[str, Any]:
    """The overrides, typed as in the family's configuration.

    A stratum's own fields win over an override, so its typed value is read from a stratum that
    leaves the field free.

    Raises:
        ConfigError: if every stratum fixes an overridden field, so that the override would be
            ignored.
    """
    found: dict[str, Any] = {}
    for stratum in made.strata:
        config = to_dict(made.configure({}, stratum, 0))
        dealt = made.dealt(stratum)
        found |= {name: config[name] for name in made.overrides if name not in dealt}
    for name in made.overrides:
        if name not in found:
            raise ConfigError(
                f"{name}: is fixed by every arm ({', '.join(map(str, made.strata))}), so this would be ignored"
            )
    return found


def _strata(study: Study, text: str) -> tuple[Any, ...]:
    """The strata of `lookahead=10,20` or `arm=ramp,no hard seeds`; `text` is what follows `=`."""
    found: list[Any] = []
    for word in map(str.strip, text.split(",")):
        if study.arms:
            if word not in study.arms:
                what = f"no {word!r}" if word else "there is a comma with no name beside it"
                raise ConfigError(f"{study.stratify}: {what}; the arms are {', '.join(study.arms)}")
            found.append(word)
            continue
        try:
            found.append(int(word))
        except ValueError:
            raise ConfigError(f"{study.stratify}: expected whole numbers such as 10,100 (got {word!r})") from None
    if len(set(found)) != len(found):
        raise ConfigError(f"{study.stratify}: a value is given twice in {text}")
    return tuple(found)


def check_configurations(study: Study, made: Settings) -> None:
    """Tries a configuration in every stratum, and every enqueued one.

    So a bad field fails before anything starts.

    Raises:
        ConfigError: naming the field, and the entry if it is enqueued.
    """
    from leadline.engine.director import Director

    for stratum in made.strata:
        made.configure({}, stratum, 0)
    if len(made.enqueue) > made.trials:
        raise ConfigError(
            f"enqueue: {len(made.enqueue)} entries are more than the {plural(made.trials, 'trial')}; raise --trials"
        )
    for index, entry in enumerate(made.enqueue):
        dealt = entry.get(made.stratify, made.strata[0]) if made.stratify else made.strata[0]
        if dealt not in made.strata:
            raise ConfigError(
                f"enqueue: entry {index + 1}: {made.stratify}: {dealt} is not among {', '.join(map(str, made.strata))}"
            )
        fixed = {"steps", "seed", "eval_every", *made.overrides, *made.fields, *made.dealt(dealt)} - {made.stratify}
        if found := [name for name in entry if name in fixed]:
            raise ConfigError(f"enqueue: entry {index + 1}: {found[0]}: is fixed for the whole sweep")
        single = dataclasses.replace(made, enqueue=(entry,), trials=1)
        director = Director(single, study.space)
        director.opened({})
        try:
            director.next()
            failed = next(iter(director.history.trials.values()))
            if failed.status == "failed":
                raise ConfigError(failed.reason.removeprefix("infeasible: "))
        except (ConfigError, KeyError, ValueError) as error:
            raise ConfigError(f"enqueue: entry {index + 1}: {error}") from None


def resumed_settings(recorded: Settings, study: Study, request: Request, *, alone: bool = True) -> Settings:
    """The settings of a resumed sweep: the recorded ones, changed where that is allowed.

    Args:
        recorded: the settings in the sweep's ledger.
        study: what the script asks of the recorded family.
        request: the command line.
        alone: whether the sweep goes on on this machine alone, wherever it was before.

    Raises:
        ConfigError: for an option that would make it another sweep.
    """
    asked = {name: (value, getattr(recorded, name)) for name, value in request.given.items() if name not in CHANGEABLE}
    asked["family"] = (request.family or recorded.family, recorded.family)
    asked["scale"] = (request.scale or recorded.scale, recorded.scale)
    words = dict(request.overrides)
    if recorded.stratify in words:
        asked[recorded.stratify] = (_strata(study, words.pop(recorded.stratify)), recorded.strata)
    typed = _typed(dataclasses.replace(recorded, overrides={**recorded.overrides, **words}))
    asked |= {name: (typed[name], recorded.overrides.get(name, "no value")) for name in words}
    for name, (value, before) in asked.items():
        if value != before:
            raise ConfigError(
                f"{name.replace('_', '-')}: {request.resume} was begun with {before}; begin a new sweep to change it"
            )
    changed = {name: value for name, value in request.given.items() if name in CHANGEABLE}
    if changed.get("budget", recorded.budget) < recorded.budget:
        word = recorded.unit
        least = recorded.budget
        raise ConfigError(
            f"{word}: {changed['budget']} is below the {least} of {request.resume}; take more, or begin a new sweep"
        )
    # A time limit holds for one command, so that of the command before is dropped.
    made = dataclasses.replace(recorded, **{"time_limit": None, **changed})
    if alone:
        made = dataclasses.replace(made, where={})
    for stratum in made.strata:
        made.configure({}, stratum, 0)
    return made
