"""What one can do with packaging."""
