"""What is searched: one file per study."""
