"""Balls in a box: worlds, their simulator, and networks that predict the next frames."""
