"""Branches, tags, merges and differences of dataset versions."""
