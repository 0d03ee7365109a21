"""Metric series as they are kept and drawn: compressed blocks, summaries of them in levels, history and charts."""
