"""The search spaces: a folder per study, and a file in it for each family that answers the study.

Families that answer alike share a file.
"""
