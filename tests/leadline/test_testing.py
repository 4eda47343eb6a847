"""The contract suite's own search for other values of a field."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, get_type_hints

import pytest

from leadline.config import Floats, TrialConfig, configuration, knob
from leadline.testing import FamilyContract, _near
from tests.leadline.toy import Toy


@configuration
class Kinds(TrialConfig):
    """A field of each kind, and one that takes few texts."""

    count: int = knob(1, "at its lowest", ge=1, le=2)
    share: float = knob(1.0, "at its highest", gt=0, le=1)
    part: float | None = knob(None, "a number or nothing")
    flag: bool = knob(False, "a switch")
    word: Literal["a", "b"] = knob("a", "a choice")
    tuple_: Floats = knob((0.1,), "numbers")
    text: str = knob("", "any text")
    shape: str = knob("x1", "a letter and a number", pattern="^[a-z][0-9]$")
    only: Literal["this"] = knob("this", "the only choice")


class Kept(Toy):
    """The toy whose data depend on all fields of `reads`, and whose key says those of `keyed`."""

    Config: Any = Kinds

    def __init__(self, reads: Sequence[str], keyed: Sequence[str]) -> None:
        self.reads, self.keyed = reads, keyed

    def data_key(self, config: Any) -> str:
        return str([getattr(config, name) for name in self.keyed])

    def build_data(self, config: Any) -> Any:
        return [getattr(config, name) for name in self.reads]


def check(reads: Sequence[str], keyed: Sequence[str], given: Mapping[str, Sequence[Any]]) -> None:
    class Contract(FamilyContract):
        family = Kept(reads, keyed)
        small: ClassVar[Mapping[str, Any]] = {}
        others: ClassVar[Mapping[str, Sequence[Any]]] = given

    Contract().test_data_key_names_what_build_data_reads()


NAMES = ("count", "share", "flag", "word", "tuple_", "text", "steps", "seed", "micro_batch")


@pytest.mark.parametrize("name", NAMES)
def test_a_field_that_the_key_leaves_out_is_found(name: str) -> None:
    check((name,), (name,), {})
    with pytest.raises(AssertionError, match=rf"^data_key: build_data reads {name}, and {name}=.* share the key"):
        check(NAMES, [other for other in NAMES if other != name], {})


def test_a_field_without_another_legal_value_is_said() -> None:
    with pytest.raises(pytest.skip.Exception, match="no other legal value found of only, part, shape, which"):
        check(("shape", "only", "part"), (), {})
    with pytest.raises(AssertionError, match=r"^data_key: build_data reads shape, and shape=y2 and shape=x1 share"):
        check(("shape",), (), {"shape": ["y2"]})


def test_values_are_near_and_of_the_fields_type() -> None:
    hints = get_type_hints(Kinds, include_extras=True)
    assert _near("a", hints["word"]) == ["a", "b"]
    assert _near(False, hints["flag"]) == [True]
    assert (0.1, 0.1) in _near((0.1,), hints["tuple_"])
    assert {2, 0} <= set(_near(1, hints["count"]))
