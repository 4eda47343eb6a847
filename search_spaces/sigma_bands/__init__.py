"""The search spaces of `sigma_bands`: does noise on the latent start help?

There is a file for each family; families that answer alike share one.
"""
