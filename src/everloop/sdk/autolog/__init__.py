"""Recording what machine-learning libraries do, without a change to the code that calls them."""
