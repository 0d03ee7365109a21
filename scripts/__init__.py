"""What maintainers run: `python -m scripts.migration "what changed"`, `python -m scripts.reference`, `python -m scripts.protocol`."""
