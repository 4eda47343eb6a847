"""Rules on coloured grids."""
