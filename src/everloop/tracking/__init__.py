"""Experiments and runs: parameters, metrics, artifacts, inputs and the environment of each training."""
