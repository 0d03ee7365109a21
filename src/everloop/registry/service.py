"""What one can do with registry."""
