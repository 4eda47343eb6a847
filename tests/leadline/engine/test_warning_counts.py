from __future__ import annotations

import pytest

from leadline.engine.warning_counts import WarningCounts


@pytest.mark.parametrize(
    ("texts", "counts"),
    [
        (["odd", "odd", "even"], {"odd": 2, "even": 1}),
        (["step 9: loss 1.5", "step 10: loss -2e-05", "step 11: loss nan"], {"step 9: loss 1.5": 3}),
        (["<Box at 0x7fa0>", "<Box at 0x11>"], {"<Box at 0x7fa0>": 2}),
        (["nan is bad", "nano is bad"], {"nan is bad": 1, "nano is bad": 1}),
    ],
)
def test_texts_that_differ_in_numbers_alone_are_one_warning(texts: list[str], counts: dict[str, int]) -> None:
    made = WarningCounts()
    for text in texts:
        made.add(text)
    assert made.by_text == counts
