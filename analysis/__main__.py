"""Runs `leadline`, so that `python -m analysis` works too."""

from leadline.__main__ import run

run()
