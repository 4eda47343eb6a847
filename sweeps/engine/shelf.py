"""Ray: the data of a sweep, built and judged before anything is trained, and shared through the object store."""

from __future__ import annotations

import sys
from typing import Any

from sweeps.engine.director import Director
from sweeps.ledger.leaderboard import is_oracle
from trainables.config import make
from trainables.family import Split

__all__ = ["Shelf"]

SCORED: tuple[Split, ...] = ("validation", "test")


class Shelf:
    """The data of a sweep: built once per key, audited, measured by trivial predictors, shared through the object store.

    It fails closed: a sweep is refused where an audit fails, raises or says nothing of overlap, and where a declared metric has no
    trivial predictor to compare with.
    """

    def __init__(self, director: Director) -> None:
        self._director, self._settings = director, director.settings
        self._family = director.settings.model_family()
        self._built: dict[str, Any] = {}
        self._references: dict[str, tuple[Any, bytes]] = {}
        self._lines: list[tuple[str, str, dict[str, Any]]] = []
        self._findings: list[tuple[str, Any]] = []
        self._refusals: list[str] = []
        self._error: BaseException | None = None

    def prepare(self) -> None:
        """Builds and measures; runs while Ray starts. What it finds is recorded by `ready`."""
        try:
            for stratum in self._settings.strata:
                config = self._settings.configure({}, stratum, 0)
                self._measure(config, self._data(config, str(stratum)), str(stratum))
        except Exception as error:
            self._error = error

    def ready(self) -> bool:
        """Records baselines and findings; False, each reason said in one line, if the sweep is refused.

        Raises:
            Exception: what building the data raised.
        """
        if self._error is not None:
            raise self._error
        known = {(line["guard"], line["sentence"]) for line in self._director.history.findings}
        for stratum, finding in self._findings:
            if (finding.guard, finding.sentence) in known:
                continue
            self._director.finding(stratum, finding.guard, finding.failed, finding.number, finding.sentence)
        measured = {(line.stratum, line.name) for line in self._director.history.baselines}
        for stratum, name, metrics in self._lines:
            if (stratum, name) not in measured:
                self._director.baseline(stratum, name, metrics)
        failures = [f"by the {finding.guard} audit: {finding.sentence}" for _, finding in self._findings if finding.failed]
        reasons = list(dict.fromkeys(failures + self._refusals))
        for reason in reasons:
            print(f"refused {reason}", file=sys.stderr)
        return not reasons

    def reference(self, config: dict[str, Any]) -> tuple[str, bytes]:
        """The key of a configuration's data and its pickled reference in Ray's object store."""
        import ray

        typed = make(self._family.Config, config, self._family.name)
        key = self._family.data_key(typed)
        if key not in self._references:
            reference = ray.put(self._built[key])
            self._references[key] = (reference, ray.cloudpickle.dumps(reference))  # type: ignore[no-untyped-call]
        return key, self._references[key][1]

    def _data(self, config: Any, stratum: str) -> Any:
        key = self._family.data_key(config)
        if key not in self._built:
            self._built[key] = self._family.build_data(config)
            self._audit(config, self._built[key], stratum)
        return self._built[key]

    def _audit(self, config: Any, data: Any, stratum: str) -> None:
        try:
            findings = list(self._family.audit(config, data))
        except Exception as error:
            text = " ".join(str(error).split())
            self._refusals.append(f"audit: {self._family.name}'s raised {type(error).__name__}: {text}")
            return
        self._findings += [(stratum, finding) for finding in findings]
        if not any(finding.guard.startswith("overlap") for finding in findings):
            self._refusals.append(f"audit: {self._family.name}'s has no finding named overlap..., so a leak would go unseen")

    def _measure(self, config: Any, data: Any, stratum: str) -> None:
        scores: dict[str, dict[str, Any]] = {}
        for split in SCORED:
            for name, measures in self._family.baselines(config, data, split).items():
                plain = {f"{split}/{metric}": measure.to_dict(units=split == "test") for metric, measure in measures.items()}
                scores.setdefault(name, {}).update(plain)
        self._lines += [(stratum, name, metrics) for name, metrics in scores.items()]
        self._refusals += self._uncompared({name: metrics for name, metrics in scores.items() if not is_oracle(name)}, stratum)

    def _uncompared(self, trivial: dict[str, dict[str, Any]], stratum: str) -> list[str]:
        """Why trials of a stratum would stand without a trivial predictor, if they would."""
        if not trivial:
            return [f"baselines: {self._family.name} has none that is not an oracle (stratum {stratum})"]
        known = set[str]().union(*trivial.values())
        needed = [f"{split}/{metric.name}" for split in SCORED for metric in self._family.metrics]
        missing = [name for name in needed if name not in known]
        return [f"baselines: {self._family.name} has none on {', '.join(missing)} (stratum {stratum})"] if missing else []
