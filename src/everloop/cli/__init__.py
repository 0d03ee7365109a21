"""The door on the command line."""
