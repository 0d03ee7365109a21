"""What one can do with datasets."""
