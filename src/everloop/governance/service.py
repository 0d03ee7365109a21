"""What one can do with governance."""
