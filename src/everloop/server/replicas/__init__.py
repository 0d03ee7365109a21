"""Several processes that serve the same thing on one port, and the supervisor that keeps them alive."""
