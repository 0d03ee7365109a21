"""Policies: what a version needs before a guarded alias may name it."""
