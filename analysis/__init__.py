"""What is learnt beyond the general commands, a folder per family; `leadline.Sweep` opens a sweep."""
