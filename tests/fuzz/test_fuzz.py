"""Every public entry point with odd input: refused in one line, a failed trial, or a result that can be read.

`make fuzz` tries more; bad_inputs.txt lists what each bad input of bad_inputs.py gets.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.bad_inputs import LISTED, WORDS, Case, callbacks, commands, options_of, outcome, spaces
from tests.fuzz.odd import CALLBACKS, MAPPINGS, VALUES, study

MANY = int(os.environ.get("FUZZ_EXAMPLES", "0"))
"""Examples of each property; by default a few. `make fuzz` sets more, and tries the whole list."""
TRIED = 100
"""How many listed inputs of a kind the default suite tries, spread over all of them."""

HOLDS = ("2: error: ", "1: refused ", "failed: ", "finished, can be read", "stopped, can be read", "accepted")
"""How what an input gets may begin."""


def _listed() -> dict[str, str]:
    rows = LISTED.read_text().splitlines()
    return dict(row.split("  ->  ") for row in rows)


@pytest.fixture(autouse=True)
def two_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many on every machine, since some refusals name them."""
    monkeypatch.setattr("leadline.cpus.usable", lambda: 2)


def test_the_list_is_long_and_keeps_the_rule() -> None:
    rows = _listed()
    bad = {name: got for name, got in rows.items() if not got.endswith(("can be read", "accepted"))}
    assert len(bad) >= 200
    assert [row for row, got in rows.items() if not got.startswith(HOLDS)] == []


@pytest.mark.parametrize("kind", [commands, spaces, callbacks], ids=lambda kind: kind.__name__)
def test_what_is_listed_gets_what_the_list_says(kind: Callable[[], Iterator[Case]]) -> None:
    rows = _listed()
    every = list(kind())
    found = {case.name: outcome(case) for case in (every if MANY else every[:: max(1, len(every) // TRIED)])}
    assert found == {name: rows[name] for name in found}


@settings(max_examples=MANY or 40)
@given(st.sampled_from(CALLBACKS), st.sampled_from(list(VALUES)), st.booleans())
def test_any_callback_fails_its_trial_with_words_or_gives_what_can_be_read(
    callback: str, value: str, inside: bool
) -> None:
    found = outcome(Case("", callback=callback, value=f"name: {value}" if inside and callback in MAPPINGS else value))
    assert found.startswith(HOLDS), (callback, value, inside, found)


OPTIONS = [*options_of(study()), "no-such", ""]
FIELDS = ["lr", "batch", "micro_batch", "seed", "steps", "eval_every", "no_such", "", "lr ", "LR"]
WORD = st.one_of(st.sampled_from(WORDS), st.text(max_size=12), st.integers().map(str), st.floats().map(repr))


@settings(max_examples=MANY or 120)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.sampled_from(OPTIONS), WORD).map(lambda pair: f"--{pair[0]}={pair[1]}"),
            st.tuples(st.sampled_from(FIELDS), WORD).map("=".join),
            WORD,
        ),
        max_size=4,
    )
)
def test_any_command_line_is_refused_in_one_line_or_accepted(words: list[str]) -> None:
    # A storage or an address of its own would be looked for where the test has no business.
    kept = tuple(word for word in words if not word.startswith(("--storage=", "--address=", "--help", "-h")))
    found = outcome(Case(" ".join(kept), kept))
    assert found.startswith(("2: error: ", "accepted")), (kept, found)
