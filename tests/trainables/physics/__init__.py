"""Balls in a box."""
