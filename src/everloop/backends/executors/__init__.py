"""Where steps can be executed."""
