"""Findings are of their types, whatever a family made them of."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

from leadline.config import ConfigError
from leadline.finding import Finding, as_findings


def test_numpys_values_become_plain() -> None:
    made: Any = Finding(np.str_("overlap"), np.bool_(False), np.int64(3), "3 rows")  # type: ignore[arg-type]
    assert json.loads(json.dumps(made.to_dict())) == {
        "guard": "overlap", "failed": False, "number": 3, "sentence": "3 rows", "subject": "",
    }  # fmt: skip
    assert Finding("overlap", False, math.nan, "").to_dict()["number"] is None


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (("overlap", False, "3", "3 rows"), "Finding: number: expected a number (got a str)"),
        (("overlap", False, 3, None), "Finding: sentence: expected text (got None)"),
        ((7, False, 3, "3 rows"), "Finding: guard: expected text (got an int)"),
    ],
)
def test_another_type_is_named(given: tuple[Any, ...], words: str) -> None:
    with pytest.raises(ConfigError) as refused:
        Finding(*given)
    assert str(refused.value) == words


@pytest.mark.parametrize("given", [None, ["3 rows are shared"], "text", {"overlap": 1}])
def test_anything_else_is_no_finding(given: Any) -> None:
    with pytest.raises(ConfigError, match=r"^audit: expected a list of leadline\.Finding"):
        as_findings(given, "audit")
