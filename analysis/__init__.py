"""What is learnt: open a sweep, rank, load the best checkpoint, report."""
