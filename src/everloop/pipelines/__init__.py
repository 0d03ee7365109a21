"""Typed steps with a memo that re-runs a step exactly when something that it used has changed."""
