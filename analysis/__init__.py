"""What is learnt beyond the general commands, in a folder per family. See also `leadline.Sweep`."""
