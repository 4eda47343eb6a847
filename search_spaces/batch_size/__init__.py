"""How large a batch? A file for each family, or for families that answer alike."""
