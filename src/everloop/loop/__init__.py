"""The loop as a declaration: triggers, gates, policies, the controller, simulation and reproduction."""
