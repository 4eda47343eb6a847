"""The search spaces of `lookahead`: how far must a network look ahead?

There is a file for each family; families that answer alike share one.
"""
