"""Ways to run a model apart from everything else."""
