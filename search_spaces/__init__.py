"""What is searched: a folder per study, a file in it for each family, or for families that answer alike."""
