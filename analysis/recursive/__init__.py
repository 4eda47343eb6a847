"""The claims of the trajectory augmentation notes on the recursive networks HRM and TRM."""
