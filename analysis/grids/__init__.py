"""What is asked of networks that answer grids, of whichever family."""
