"""Libraries whose models the registry keeps."""
