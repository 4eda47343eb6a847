"""Recursive reasoning models, HRM and TRM, trained from perturbed latent starts on Sudoku and mazes."""
