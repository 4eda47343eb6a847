"""The puzzles that the recursive families learn.

There is one protocol, an implementation for each puzzle, and a registry by name.
"""
