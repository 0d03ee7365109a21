"""Tracking: what our own paths cost, and other trackers beside it."""
