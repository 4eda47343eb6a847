"""Runs `leadline train`, so that `python -m trainables` works too."""

from leadline.__main__ import run

run("train")
