"""Does noise on the latent start help? A file for each family, or for families that answer alike."""
