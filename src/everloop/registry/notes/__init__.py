"""Notes: what people say about models and versions, whose content never changes."""
