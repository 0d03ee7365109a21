"""Entities, feature views, point-in-time joins, windows, and the same values online."""
