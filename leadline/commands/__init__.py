"""The command `leadline`: which commands there are, and those of them that look at no sweep."""
