"""Calibration: how far a model's numbers lie from the truth, so that intervals can be given that hold."""
