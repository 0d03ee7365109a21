"""What one can do with loop."""
