"""Which of MLflow's tests are run, and which of them our door is not for."""

from __future__ import annotations

import re

SUITES: dict[str, tuple[str, ...]] = {
    "rest": ("tests/tracking/test_rest_tracking.py",),
    "registry": ("tests/tracking/test_model_registry.py", "tests/store/model_registry/test_sqlalchemy_store.py"),
    "store": ("tests/store/tracking/test_sqlalchemy_store.py",),
    "fluent": ("tests/tracking/fluent/test_fluent.py", "tests/tracking/test_tracking.py"),
    "client": ("tests/tracking/test_client.py",),
}
"""The files of each suite, in a checkout of MLflow."""

_OUT_OF_SCOPE = {
    "gateway, secrets and model endpoints": r"gateway|secret|endpoint|model_definition|list_providers|list_models\b"
    r"|get_provider_config",
    "scorers": r"scorer|online_scoring",
    "evaluation datasets": r"evaluation_dataset|add_dataset|remove_dataset|dataset_experiment|test_dataset_"
    r"|add_experiments|remove_experiments|add_multiple_experiments|_from_uc_table|test_sql_dataset_record",
    "prompt laboratory and optimisation": r"promptlab|prompt_optimization|optimization_job",
    "GraphQL of MLflow's pages": r"graphql",
    "what MLflow's server keeps within its process": r"calls_optimized_impl|log_batch_internal_error",
    "analysis of traces": r"query_trace_metrics",
}
"""By what a test is named: the parts of MLflow that our door answers with 404, and insides of its server."""


def out_of_scope(test: str) -> str:
    """The part of MLflow that a test is about and that our door is not for; empty for all others.

    >>> out_of_scope("tests/tracking/test_rest_tracking.py::test_scorer_CRUD[sqlalchemy]")
    'scorers'
    """
    name = re.sub(r"^.*?::|\[.*$", "", test)
    return next((part for part, pattern in _OUT_OF_SCOPE.items() if re.search(pattern, name)), "")
