"""Which fields of a configuration a function reads."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from typing import Any, TypeVar, cast

from leadline.config import TrialConfig

__all__ = ["watched"]

C = TypeVar("C", bound=TrialConfig)


def watched(config: C) -> tuple[C, set[str]]:
    """A stand-in for a configuration, and the set that gets the names of the fields read from it.

    The stand-in is an instance of the configuration's class and equal to it. What its properties
    and methods read counts as read. Whatever takes the configuration as a whole reads every field:
    `dataclasses.asdict`, `leadline.config.to_dict`, `vars`, a comparison, a hash, a text, a copy or
    a pickle. A copy, and what is read back from a pickle, is an ordinary configuration again.
    """
    kind = type(config)
    names = frozenset(field.name for field in dataclasses.fields(cast(Any, config)))
    read: set[str] = set()

    def attribute(self: C, name: str) -> Any:
        if name == "__class__":  # so that `dataclasses.replace` and `==` see the family's own class
            return kind
        if name in names:
            read.add(name)
        elif isinstance(found := inspect.getattr_static(kind, name, None), functools.cached_property):
            return found.func(self)  # its value would be kept in `__dict__`, and may have been computed before
        elif name in own:
            read.update(names)
        return kind.__getattribute__(self, name)

    def reduced(self: C, protocol: Any) -> Any:
        read.update(names)
        return config.__reduce_ex__(protocol)

    # An attribute that is no field, such as one set by a validator, may come from any of them.
    own = {"__dict__", *vars(config)} - names
    namespace = {"__getattribute__": attribute, "__reduce_ex__": reduced}
    made = type(kind.__name__, (kind,), {**namespace, "__module__": kind.__module__, "__qualname__": kind.__qualname__})
    stand_in = cast(C, object.__new__(made))
    for name, value in vars(config).items():
        object.__setattr__(stand_in, name, value)
    return stand_in, read
