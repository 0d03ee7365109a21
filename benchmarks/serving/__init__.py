"""Servers of models under load: ours beside others that serve the same model, asked by the same generator."""
