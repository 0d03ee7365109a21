"""Sizing: how much machine a version needs, from a load test that was run."""
