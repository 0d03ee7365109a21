"""Engines that compute on tables."""
