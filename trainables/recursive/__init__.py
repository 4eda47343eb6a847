"""The recursive reasoning models HRM and TRM, trained on sudokus and mazes.

Their latent starts may be perturbed.
"""
