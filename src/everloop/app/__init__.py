"""Settings in, a running platform out: the only place that chooses backends."""
