"""How slowly should what is hard enter? A file for each family, or for families that answer alike."""
