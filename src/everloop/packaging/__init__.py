"""Models packed to run elsewhere, with a manifest, a lock and a scan."""
