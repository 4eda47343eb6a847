"""What stands in one line wherever it is shown, and where things lie in a sweep's folder."""

from __future__ import annotations

import pytest

from leadline.checkpoint import attempt_folder, checkpoint_name
from leadline.ledger.layout import trial_folder
from leadline.ledger.wording import last_line, utc


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("Traceback:\n  File\nValueError: boom\n\n", "ValueError: boom"),
        ("one ", "one"),
        ("", "no reason recorded"),
        ("\n \n", "no reason recorded"),
    ],
)
def test_the_last_line_is_the_exception(text: str, line: str) -> None:
    assert last_line(text) == line
    assert last_line("", "OSError") == "OSError"


def test_a_moment_is_said_in_utc() -> None:
    assert utc(0.9) == "1970-01-01 00:00:00 UTC"
    assert utc(1769860800.0) == "2026-01-31 12:00:00 UTC"


def test_the_names_of_folders_which_recorded_sweeps_have() -> None:
    assert (trial_folder(7), trial_folder(12345)) == ("trials/0007", "trials/12345")
    assert (attempt_folder(1), checkpoint_name(12, 400)) == ("attempt-01", "attempt-12/step-000000400")
