"""Manifests: what deploys a version, or an endpoint with its traffic, on the platforms that people have."""
