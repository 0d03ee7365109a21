"""Places that data is imported from without being downloaded."""
