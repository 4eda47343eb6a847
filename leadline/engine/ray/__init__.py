"""The only package of the engine that uses Ray.

Ray reads its environment variables when it is imported, so this file imports nothing.
"""
