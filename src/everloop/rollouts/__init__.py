"""Gradual rollouts: strategies, sequential statistics and guards."""
