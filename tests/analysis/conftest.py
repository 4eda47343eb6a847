"""Stored sweeps, as the framework's tests of analysis make them."""

from tests.leadline.analysis.conftest import build, finished

__all__ = ["build", "finished"]
