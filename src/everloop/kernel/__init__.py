"""What everything else stands on: errors, names, the clock, events, ports and use cases."""
