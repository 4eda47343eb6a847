"""Puzzles that the recursive families learn: one protocol, an implementation each, and a registry by name."""
