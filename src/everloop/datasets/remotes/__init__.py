"""Other stores that dataset versions are pushed to and pulled from, and places that data is imported from."""
