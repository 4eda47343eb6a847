"""The puzzles that the families of boards learn.

There is one protocol, an implementation for each puzzle, a registry by name, and what all of them
share: the fields that say which boards, their three splits, and the audit.
"""
