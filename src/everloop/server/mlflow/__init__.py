"""The MLflow door: what MLflow's clients call for experiments, runs, artifacts and registered models."""
