"""Sweeps: many trials of one objective, each with other parameters, searched for the best."""
