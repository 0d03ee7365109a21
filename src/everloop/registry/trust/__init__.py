"""Decisions to let models run that bring code along."""
