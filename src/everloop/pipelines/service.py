"""What one can do with pipelines."""
