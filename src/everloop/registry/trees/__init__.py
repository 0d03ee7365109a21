"""Ensembles of trees, compiled: one table for every library's trees, and a kernel that scores rows with it exactly."""
