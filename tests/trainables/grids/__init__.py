"""Coloured grids, their encodings, and rules that change them."""
