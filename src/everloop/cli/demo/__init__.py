"""`everloop demo`: the whole loop on a year of real flights, through the real processes, on a simulated clock."""
