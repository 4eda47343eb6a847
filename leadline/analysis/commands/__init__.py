"""The commands that look at sweeps."""
