"""The report of a sweep, which is one HTML file."""
