"""How far must a network look ahead? A file for each family, or for families that answer alike."""
