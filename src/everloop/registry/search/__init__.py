"""The search for models and versions: a filter, an order, pages that stay where they are under writes."""
