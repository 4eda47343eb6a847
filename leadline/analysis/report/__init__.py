"""The report of a sweep, one HTML file."""
