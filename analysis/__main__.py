"""The door `python -m analysis`: the command `leadline`."""

from leadline.__main__ import run

run()
