"""A family and a study from outside: what the README shows, and what a test runs without touching the engine."""
