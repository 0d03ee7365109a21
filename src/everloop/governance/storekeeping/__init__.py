"""Keeping the store: what can be freed and brought back, whether all is whole, mending what is not."""
