"""What a sweep has shown."""
