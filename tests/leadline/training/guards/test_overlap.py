"""The overlap of what is trained on with what is scored."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadline.training.guards.overlap import overlap
from tests.leadline.training.guards.mistakes import MISTAKES, Commands, MistakesConfig, commands


def test_there_are_as_many_commands_as_in_the_published_files() -> None:
    assert len(commands()) == len(set(commands())) == 20910


def test_copies_of_commands_split_at_random_are_caught() -> None:
    found = Commands(pooled=True).audit(MistakesConfig(), None)
    assert [(finding.guard, finding.failed) for finding in found] == [
        ("overlap_validation_commands", True),
        ("overlap_test_commands", True),
    ]
    split = Commands(pooled=True).split()
    assert found[1].number == np.isin(split["test"], split["train"]).sum()
    assert found[1].number / len(split["test"]) == pytest.approx(0.91, abs=0.01)


def test_a_split_by_unique_command_is_quiet() -> None:
    found = Commands(pooled=False).audit(MistakesConfig(), None)
    assert [(finding.failed, finding.number) for finding in found] == [(False, 0.0)] * 2


@given(st.lists(st.integers(0, 30), min_size=1), st.lists(st.integers(0, 30), min_size=1))
def test_the_count_is_exact(train: list[int], scored: list[int]) -> None:
    hits = sum(any(row == other for other in train) for row in scored)
    found = overlap(train, scored, "rows")
    assert (found.number, found.failed) == (hits, hits > 0)
    assert overlap(iter(train), iter(scored), "rows") == found
    assert overlap(np.array(train), np.array(scored, dtype=np.float32), "rows") == found
    assert f"{hits} of {len(scored)} rows" in found.sentence


def test_rows_of_an_array_are_keys_as_a_whole() -> None:
    train = np.arange(12.0).reshape(4, 3)
    assert overlap(train, train[:, ::-1], "rows").number == 0
    assert overlap(train, train[[1, 1]], "test rows").number == 2
    assert overlap(train.reshape(2, 2, 3), train.reshape(2, 2, 3)[:1], "images").sentence.startswith(
        "1 of 1 images (100.0%)"
    )


@pytest.mark.parametrize(("train", "scored", "side"), [([], [1], "train"), ([1], [], "scored")])
def test_an_audit_of_nothing_fails(train: list[int], scored: list[int], side: str) -> None:
    with pytest.raises(ValueError, match=f"^{side}: no rows"):
        overlap(train, scored, "test rows")


def test_keys_that_cannot_be_compared_fail() -> None:
    with pytest.raises(TypeError):
        overlap([[1, 2]], [[1, 2]], "test rows")  # type: ignore[list-item]


def test_the_fixtures_rows_are_apart() -> None:
    assert not any(
        finding.failed for finding in MISTAKES.audit(MistakesConfig(), MISTAKES.build_data(MistakesConfig()))
    )
