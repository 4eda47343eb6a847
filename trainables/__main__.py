"""The door `python -m trainables`: the command `leadline train`."""

from leadline.__main__ import run

run("train")
