"""Models in a faster form that is proven equal, made when they are registered."""
