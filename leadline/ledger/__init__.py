"""The ledger, which is the record of a sweep, and the views that are computed from it.

Nothing here imports Ray.
"""
