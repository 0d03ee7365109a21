"""Places that the store can keep its blobs in."""
