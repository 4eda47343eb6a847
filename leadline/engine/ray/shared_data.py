"""The data of a sweep, built and audited before training and shared through Ray's object store."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import Any

from threadpoolctl import threadpool_limits

from leadline.admission import BuiltData, audited, built, compared, differing
from leadline.config import ConfigError, TrialConfig
from leadline.engine.director import Director
from leadline.errors import in_one_line, raised
from leadline.fields_read import watched
from leadline.finding import Finding
from leadline.plain import culprit

__all__ = ["SharedData"]


class SharedData:
    """The data of a sweep, shared through Ray's object store.

    The data of each key are built once, audited, and scored with trivial predictors. A sweep whose
    data do not pass is refused, for the reasons that `leadline.admission` gives. So is one in which
    two configurations share a key and differ in a field that `build_data` reads.

    Args:
        director: the sweep's director, which records baselines and findings.
        first: configurations that will be trained, such as the first proposal of each stratum.
    """

    def __init__(self, director: Director, first: Sequence[TrialConfig] = ()) -> None:
        self._director = director
        self._settings = director.settings
        self._family = director.settings.model_family()
        self._first = first
        self._built: dict[str, BuiltData] = {}
        self._audited: list[tuple[str, TrialConfig, set[str]]] = []
        """The audits so far: the data's key, the configuration, and the fields that were read."""
        self._references: dict[str, tuple[Any, bytes]] = {}
        self._lines: list[tuple[str, str, dict[str, Any]]] = []
        self._findings: list[tuple[str, Finding]] = []
        self._refusals: list[str] = []
        self._error: BaseException | None = None

    def prepare(self) -> None:
        """Builds and measures the data.

        It runs in a thread while Ray starts, so what it finds is recorded by `ready` only. Ray is
        started by forks, before each of which OpenBLAS ends its threads; a product of matrices that
        is under way here would wait for them without end, unless it takes no other thread.
        """
        try:
            with threadpool_limits(limits=1, user_api="blas"):
                for stratum in self._settings.strata:
                    config = self._settings.configure({}, stratum, 0)
                    data = self._data(config)
                    self._audit(config, data, str(stratum))
                    self._measure(config, data, str(stratum))
                self._refusals += map(self._unshared, self._first)
        except ConfigError as error:  # such as boards or a checkpoint that are not there
            self._refusals.append(in_one_line(error))
        except BaseException as error:  # also `sys.exit`, which would end this thread without a word
            self._error = raised(error)

    def ready(self) -> bool:
        """Records baselines and findings, and returns whether the sweep may go on.

        If the sweep is refused, each reason is printed on one line.

        Raises:
            Exception: what building the data raised.
        """
        if self._error is not None:
            raise self._error
        self._refusals += map(self._unkeyed, self._trained())
        known = {(line["guard"], line["sentence"]) for line in self._director.history.findings}
        for stratum, finding in self._findings:
            if (finding.guard, finding.sentence) in known:
                continue
            self._director.finding(stratum, finding.guard, finding.failed, finding.number, finding.sentence)
        measured = {(line.stratum, line.name) for line in self._director.history.baselines}
        for stratum, name, metrics in self._lines:
            if (stratum, name) not in measured:
                self._director.baseline(stratum, name, metrics)
        reasons = [reason for reason in dict.fromkeys(self._refusals) if reason]
        for reason in reasons:
            print(f"refused {reason}", file=sys.stderr)
        return not reasons

    def share(self) -> bool:
        """Puts the data of all strata into Ray's object store; returns whether that was possible.

        Where data cannot be pickled, a line is printed that names the part.
        """
        import ray

        for key, made in self._built.items():
            try:
                reference = ray.put(made.data)
            except Exception:
                found = culprit(made.data, _refusal, "build_data")
                if found is None:
                    raise
                print(f"refused {found[0]} cannot be pickled: {found[2]}", file=sys.stderr)
                return False
            self._references[key] = (reference, ray.cloudpickle.dumps(reference))  # type: ignore[no-untyped-call]
        return True

    def reference(self, config: dict[str, Any]) -> tuple[str, bytes]:
        """The key of a configuration's data and its pickled reference in Ray's object store."""
        key = self._settings.data_key(self._family.config(config))
        return key, self._references[key][1]

    def admit(self, config: TrialConfig) -> None:
        """Refuses a configuration to be trained on data that are another's.

        Raises:
            ConfigError: beginning with `data_key`, if it differs from the one that its data were
                built for in a field that `build_data` reads.
        """
        if reason := self._unshared(config):
            raise ConfigError(reason)

    def _unshared(self, config: TrialConfig) -> str:
        """Why a configuration may not be trained on any data of the sweep; empty if it may."""
        if self._settings.data_key(config) in self._built:
            return self._unkeyed(config)
        # Where a searched field changes the key, the proposal is refused: what is left is the seed.
        return (
            f"data_key: {self._family.name}'s changes with seed, and the trials of a stratum share their data: "
            "give the data a seed of their own, such as a field data_seed"
        )

    def _unkeyed(self, config: TrialConfig) -> str:
        """Why a configuration may not use the data of its key; empty if it may."""
        made = self._built.get(self._settings.data_key(config))
        return made.unkeyed(config) if made else ""

    def _trained(self) -> Iterable[TrialConfig]:
        """The configurations of recorded trials, where the sweep is resumed."""
        trials = self._director.history.trials.values()
        trained = (trial for trial in trials if not (trial.infeasible or trial.untrained))
        return (self._family.config(trial.trained_config) for trial in trained)

    def _data(self, config: TrialConfig) -> Any:
        key = self._settings.data_key(config)
        if key not in self._built:
            self._built[key] = built(self._family, config)
        self._refusals.append(self._built[key].unkeyed(config))
        return self._built[key].data

    def _audit(self, config: TrialConfig, data: Any, stratum: str) -> None:
        """Audits the data of a key, again for a configuration that differs in what was read."""
        key = self._settings.data_key(config)
        if any(key == of and not differing(before, config, read) for of, before, read in self._audited):
            return
        watching, read = watched(config)
        findings, refusals = audited(self._family, watching, data)
        self._audited.append((key, config, read))
        self._findings += [(stratum, finding) for finding in findings]
        self._refusals += refusals

    def _measure(self, config: Any, data: Any, stratum: str) -> None:
        scores: dict[str, dict[str, Any]] = {}
        baselines, refusals = compared(self._family, config, data)
        for split, found in baselines.items():
            for name, measures in found.items():
                plain = {
                    f"{split}/{metric}": measure.to_dict(units=split == "test") for metric, measure in measures.items()
                }
                scores.setdefault(name, {}).update(plain)
        self._lines += [(stratum, name, metrics) for name, metrics in scores.items()]
        self._refusals += [f"{reason} (stratum {stratum})" for reason in refusals]


def _refusal(value: Any) -> Exception | None:
    """Why a part of the data cannot be pickled; None if it can."""
    import ray

    try:
        # Arrays are left out of the pickle, as in Ray's object store, and so are not copied.
        ray.cloudpickle.dumps(value, protocol=5, buffer_callback=lambda buffer: None)  # type: ignore[no-untyped-call]
    except Exception as error:
        return error
    return None
