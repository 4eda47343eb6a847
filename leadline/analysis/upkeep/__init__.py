"""Upkeep of sweeps' files: what is wrong with them, and what may be removed."""
