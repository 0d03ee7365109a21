"""Trainings of each library, for what it costs to record them."""
