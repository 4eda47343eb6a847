"""Analysis of sweeps: what they have shown, what they cost, and the upkeep of their files."""
