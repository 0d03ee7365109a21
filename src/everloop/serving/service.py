"""What one can do with serving."""
