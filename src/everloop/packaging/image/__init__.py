"""Container images without a daemon: layers, configuration, layout, and the way into a registry."""
