"""The door in Python, in process and over HTTP alike."""
