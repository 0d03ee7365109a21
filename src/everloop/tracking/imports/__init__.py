"""Runs that were tracked elsewhere: read where they are, and brought here as they were."""
