"""Hyperparameter sweeps whose leaderboard cannot fool you."""
