"""MLflow's own tests, run from a checkout of MLflow against our server and against MLflow's, and compared.

    python -m tests.server.mlflow.conformance CHECKOUT --python VENV/bin/python [--peer]
        [--only rest|registry|store|fluent|client] [-k EXPRESSION] [--results FOLDER]

Nothing of MLflow is copied here: `plugin/` is loaded into its pytest and puts our server where its tests start one.
"""
