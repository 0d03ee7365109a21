"""What maintainers run: `python -m scripts.migration "what changed"`, `… scripts.reference`, `… scripts.protocol`."""
