"""The doors over HTTP: REST, inference, metrics and the pages of the web UI."""
