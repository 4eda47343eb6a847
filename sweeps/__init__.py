"""The sweeps that can be run: one short script per study."""
