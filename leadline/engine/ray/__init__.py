"""All that touches Ray: the only package here that imports it.

Ray reads its environment when it is imported, so this file imports nothing.
"""
