"""Keeping the files of sweeps in order."""
