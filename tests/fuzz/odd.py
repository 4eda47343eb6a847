# mypy: allow-untyped-calls, disable-error-code="arg-type,override"
"""Families and search spaces with one odd habit each: a callback that returns what nobody expects.

Each is the plugin's family, a line through noisy points, in all else. `tests.fuzz.odd:NAME` is made
when it is asked for, since every process loads its family by its dotted name.
"""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import fractions
import math
import threading
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from leadline import Finding, Measure, Study
from tests.leadline.toy_study import STUDY
from tests.plugin.line.family import Line, LineTask

__all__ = ["CALLBACKS", "MAPPINGS", "VALUES", "family_place", "study"]

VALUES: dict[str, Any] = {
    "None": None,
    "True": True,
    "-1": -1,
    "2**70": 2**70,
    "0.5": 0.5,
    "nan": math.nan,
    "inf": math.inf,
    "text": "many",
    "empty text": "",
    "bytes": b"many",
    "list": [1, 2],
    "empty list": [],
    "tuple": (1, 2),
    "set": {1, 2},
    "mapping": {"a": 1},
    "empty mapping": {},
    "mapping with a number for a name": {1: 2},
    "object": object(),
    "function": math.sqrt,
    "type": int,
    "complex": 1j,
    "Decimal": decimal.Decimal("0.1"),
    "Fraction": fractions.Fraction(1, 3),
    "date": datetime.date(2026, 1, 2),
    "np.int64": np.int64(3),
    "np.float32": np.float32(0.5),
    "np.float64 nan": np.float64("nan"),
    "np.bool_": np.bool_(True),
    "np.str_": np.str_("many"),
    "array": np.arange(3.0),
    "empty array": np.zeros(0),
    "array of objects": np.array([object()]),
    "tensor": torch.tensor(0.5),
    "tensor [2]": torch.ones(2),
    "Measure": Measure.exact(0.5),
    "Finding": Finding("overlap", False, 0.0, "none"),
    "lock": threading.Lock(),
    "generator": iter([]),
    "exception": ValueError("many"),
}
"""What a callback may return by mistake, and numbers of numpy's that it returns all the time."""

MAPPINGS = ("evaluate", "facts", "baseline", "tallies", "state_dict", "space", "batch", "losses")
"""Callbacks that return values by name: there each value is also tried as the value of a name."""


def _metrics(value: Any) -> Any:
    return {"mse": value}


class _Task(LineTask):
    """The line's task with one method replaced; `odd` is the method's name and what it returns."""

    odd: tuple[str, Any] = ("", None)

    def _asked(self, name: str, usual: Any) -> Any:
        return self.odd[1] if self.odd[0] == name else usual

    def batch(self, step: int) -> Any:
        return self._asked("batch", super().batch(step))

    def losses(self, model: Any, batch: Any, progress: float) -> Any:
        return self._asked("losses", super().losses(model, batch, progress))

    def evaluate(self, split: Any) -> Any:
        return self._asked("evaluate", super().evaluate(split))

    def facts(self, step: int) -> Any:
        return self._asked("facts", {})

    def tallies(self) -> Any:
        return self._asked("tallies", {})

    def samples(self, batch: Any) -> Any:
        return self._asked("samples", 8)

    def stage(self, step: int) -> Any:
        return self._asked("stage", 0)

    def state_dict(self) -> Any:
        return self._asked("state_dict", {})


class _Odd(Line):
    """The line with one callback replaced."""

    odd: tuple[str, Any] = ("", None)

    def _asked(self, name: str, usual: Callable[[], Any]) -> Any:
        return self.odd[1] if self.odd[0] == name else usual()

    def data_key(self, config: Any) -> Any:
        return self._asked("data_key", lambda: "line")

    def samples_per_step(self, config: Any) -> Any:
        return self._asked("samples_per_step", lambda: config.batch)

    def checkpoint_bytes(self, config: Any) -> Any:
        return self._asked("checkpoint_bytes", lambda: 100)

    def guards(self, config: Any) -> Any:
        return self._asked("guards", tuple)

    def audit(self, config: Any, data: Any) -> Any:
        if self.odd[0] in ("number", "failed", "sentence", "guard"):
            usual = {"guard": "overlap", "failed": False, "number": 0.0, "sentence": "none"}
            return [Finding(**{**usual, self.odd[0]: self.odd[1]})]
        return self._asked("audit", lambda: super(_Odd, self).audit(config, data))

    def baselines(self, config: Any, data: Any, split: Any) -> Any:
        usual = super().baselines(config, data, split)
        if self.odd[0] == "baseline":
            return {"mean": self.odd[1]}
        return self._asked("baselines", lambda: usual)

    def task(self, config: Any, data: Any, device: torch.device) -> Any:
        task = _Task(config, data, device)
        task.odd = self.odd
        if self.odd[0] in ("value", "n", "low", "high", "units"):
            usual = {"value": 0.5, "n": 3, "low": 0.4, "high": 0.6, "units": (0.5, 0.5, 0.5)}
            task.odd = ("evaluate", _Late({**usual, self.odd[0]: self.odd[1]}))
        return self._asked("task", lambda: task)

    def model(self, config: Any) -> Any:
        return self._asked("model", lambda: super(_Odd, self).model(config))

    def build_data(self, config: Any) -> Any:
        data = super().build_data(config)
        return {**data, "more": self.odd[1]} if self.odd[0] == "build_data" else data


class _Late(Mapping[str, Any]):
    """Metrics whose measure is made when it is asked for, as a family makes it in `evaluate`."""

    def __init__(self, fields: dict[str, Any]) -> None:
        self.fields = fields

    def __getitem__(self, name: str) -> Measure:
        if name != "mse":
            raise KeyError(name)
        return Measure(**self.fields)

    def __iter__(self) -> Any:
        return iter(["mse"])

    def __len__(self) -> int:
        return 1


CALLBACKS = (
    *("audit", "baselines", "baseline", "batch", "build_data", "checkpoint_bytes", "data_key", "evaluate", "facts"),
    *("guards", "losses", "model", "samples", "samples_per_step", "stage", "state_dict", "tallies", "task"),
    *("value", "n", "low", "high", "units", "number", "failed", "sentence", "guard"),
)
"""The callbacks of a family and a task, and the fields of the measures and findings that they make."""


def _value(callback: str, value: str) -> Any:
    inside = value.removeprefix("name: ")
    if inside == value:
        return VALUES[value]
    return {"mse" if callback in ("evaluate", "baseline", "losses") else "odd": VALUES[inside]}


def family_place(callback: str, value: str) -> str:
    """The dotted name of the family whose `callback` returns `value`, a name of `VALUES`.

    `name: VALUE` is the value below a name, for callbacks that return a mapping.
    """
    names = list(VALUES)
    inside = value.removeprefix("name: ")
    word = f"{callback}__{names.index(inside)}{'__inside' if inside != value else ''}"
    return f"tests.fuzz.odd:{word}"


def __getattr__(name: str) -> Any:
    callback, sign, rest = name.partition("__")
    number, _, inside = rest.partition("__")
    if not sign or not number.isdigit():
        raise AttributeError(name)
    value = list(VALUES)[int(number)]
    family = _Odd()
    family.odd = (callback, _value(callback, f"name: {value}" if inside else value))
    return family


def study(family: str = "tests.plugin.line.family:LINE", space: Any = None) -> Study:
    """A small study over a family, with a search space that may be odd."""
    small = STUDY.scales["smoke"]
    return dataclasses.replace(
        STUDY,
        name="fuzz",
        family=family,
        space=space or (lambda trial, scale: {"lr": trial.suggest_float("lr", 1e-3, 0.3)}),
        stratify=None,
        scales={"laptop": dataclasses.replace(small, trials=1, strata=("all",))},
    )
