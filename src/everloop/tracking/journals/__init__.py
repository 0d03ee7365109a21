"""Journals of runs on the disk of the machine that records them, and what ships them from there."""
