"""Changes of rows: append, upsert and delete by key, at the cost of what changed."""
