"""Tests of what becomes of runs that nobody wants any more."""
