"""The command `leadline`: how a command is found, and the commands that look at no sweep."""
