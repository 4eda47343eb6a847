"""Model families, the training loop that they share, checkpoints and storage."""
