"""The training loop that all families share, and the guards that watch it."""
