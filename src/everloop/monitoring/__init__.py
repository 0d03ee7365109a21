"""Data, predictions, attribution and performance watched against a reference; alerts and incidents."""
