"""Webhooks: what happens in the registry, told to those who asked for it."""
