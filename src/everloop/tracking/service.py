"""What one can do with tracking."""
