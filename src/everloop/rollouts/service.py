"""What one can do with rollouts."""
