"""Manifests of endpoints: their deployments with the traffic as it is divided now."""
