"""The search spaces of `batch_size`: how large a batch?

There is a file for each family; families that answer alike share one.
"""
