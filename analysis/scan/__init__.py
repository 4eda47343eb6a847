"""Where a trained SCAN network's answers are wrong, and what the log claims of such networks."""
