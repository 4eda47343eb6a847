"""The search spaces of `curriculum_length`: how slowly should what is hard enter?

There is a file for each family; families that answer alike share one.
"""
