"""What one can do with features."""
