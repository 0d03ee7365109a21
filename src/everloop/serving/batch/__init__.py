"""Predictions for many rows at once: tables in files and datasets, and streams that never end."""
