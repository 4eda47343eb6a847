"""The families that can be trained.

Each has a folder. A new family adds its folder and a line to this list.
"""

__all__ = ["FAMILIES"]

FAMILIES = {
    "arc_hrm": "trainables.arc_hrm.family:ARC_HRM",
    "collatz": "trainables.collatz.family:COLLATZ",
    "etrm": "trainables.recursive.family:ETRM_FAMILY",
    "hrm": "trainables.recursive.family:HRM_FAMILY",
    "physics": "trainables.physics.family:PHYSICS",
    "scan": "trainables.scan.family:SCAN",
    "trm": "trainables.recursive.family:TRM_FAMILY",
}
"""The families by name, each with the module and the name of its object.

The entry point `trainables:FAMILIES` names this list, so that a new line needs no new installation.
"""
