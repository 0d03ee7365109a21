"""Online stores: LMDB, Redis."""
