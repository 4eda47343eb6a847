"""What the trajectory augmentation notes claim of the recursive networks HRM and TRM."""
