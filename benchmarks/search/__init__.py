"""How well a search decides: tables of learning curves, and sweeps that are simulated on them."""
