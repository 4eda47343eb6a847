"""What is trained: a folder per family. A new family adds its folder and a line to this list."""

__all__ = ["FAMILIES"]

FAMILIES = {
    "collatz": "trainables.collatz.family:COLLATZ",
    "hrm": "trainables.recursive.family:HRM_FAMILY",
    "trm": "trainables.recursive.family:TRM_FAMILY",
}
"""Families by name. The entry point `trainables:FAMILIES` names this list, so that a new line needs no new
installation."""
