"""Versions of data: snapshots of tables and files, their profiles, checks and splits."""
