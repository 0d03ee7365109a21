"""Rules for what runs keep, and for how long, applied by the controller."""
