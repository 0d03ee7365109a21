"""Endpoints: predictions over online features, each logged with the version and the values that made it."""
