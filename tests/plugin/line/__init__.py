"""A family from outside, with all that a family can bring: a study, its answer to another, a
command, a claim, a figure.
"""
