"""Will this flight arrive late? A complete Everloop project on the real flights out of New York in 2013."""
