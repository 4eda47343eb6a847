"""The record of a sweep and its views. Knows nothing of Ray."""
