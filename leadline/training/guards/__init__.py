"""Guards: small objects that watch every trial for ways in which its score could mislead."""
