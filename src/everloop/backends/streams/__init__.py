"""Streams of records, and where results of them go."""
