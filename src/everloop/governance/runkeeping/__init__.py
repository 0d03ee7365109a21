"""What becomes of runs that nobody wants any more: what may go, what must stay and why, and rules for both."""
