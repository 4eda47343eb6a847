"""The HRM-style network of the log on ARC: two stacks of encoder layers that take turns.

It is trained on the boards of `trainables.puzzles`.
"""
