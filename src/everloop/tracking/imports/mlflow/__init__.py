"""MLflow's stores, in databases and in folders."""
