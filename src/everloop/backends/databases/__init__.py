"""Databases that the catalog can live in."""
