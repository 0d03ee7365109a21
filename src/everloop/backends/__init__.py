"""What the ports are plugged into, one file each, reached by entry point."""
