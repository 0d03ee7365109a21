"""What one can do with monitoring."""
