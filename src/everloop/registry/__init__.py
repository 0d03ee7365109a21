"""Registered models: versions, aliases, signatures, model cards and approvals."""
