"""Bytes by content: every object has one address, the BLAKE3 of its bytes."""
