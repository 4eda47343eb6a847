"""What is run: one short script per study, and the engine that runs them."""
