"""The areas of the platform. An area is deleted by deleting its folder and its line here."""

from __future__ import annotations

import importlib

AREAS = (
    "catalog",
    "datasets",
    "datasets.history",
    "datasets.changes",
    "datasets.foreign",
    "datasets.quality",
    "datasets.quality.suites",
    "datasets.splits",
    "datasets.remotes",
    "features",
    "tracking",
    "tracking.series",
    "tracking.index",
    "tracking.traces",
    "pipelines",
    "pipelines.sweeps",
    "registry",
    "registry.trust",
    "registry.compilation",
    "registry.calibration",
    "registry.notes",
    "registry.policies",
    "registry.search",
    "registry.comparison",
    "registry.webhooks",
    "governance",
    "governance.storekeeping",
    "governance.runkeeping",
    "governance.retaining",
    "packaging",
    "packaging.manifests",
    "packaging.sizing",
    "serving",
    "serving.manifests",
    "serving.batch",
    "rollouts",
    "monitoring",
    "loop",
)

_DATASETS = (
    "datasets",
    "datasets.history",
    "datasets.changes",
    "datasets.foreign",
    "datasets.quality",
    "datasets.quality.suites",
    "datasets.splits",
    "datasets.remotes",
)

_MODELS = (
    "registry",
    "registry.trust",
    "registry.compilation",
    "registry.calibration",
    "registry.notes",
    "registry.policies",
    "registry.search",
    "registry.comparison",
)

GROUPS: dict[str, tuple[tuple[str, ...], str]] = {
    "audit": (("catalog",), "The ledger: who did what, and proof that nobody changed it"),
    "lineage": (("catalog",), "What came from what"),
    "datasets": (_DATASETS, "Versions of data: snapshots, branches, differences, profiles, checks, splits"),
    "remotes": (("datasets.remotes",), "Other stores that versions of data are pushed to and pulled from"),
    "store": (("governance.storekeeping",), "The store of bytes: what it holds, if it is whole, what can be freed"),
    "features": (("features",), "Entities, feature views, point-in-time joins, the online store"),
    "experiments": (("tracking",), "Groups of runs"),
    "runs": (
        ("tracking", "tracking.index", "tracking.series", "governance.runkeeping"),
        "Parameters, metrics, artifacts, environment of each training",
    ),
    "traces": (("tracking.traces",), "What requests to applications did, as trees of spans"),
    "pipelines": (("pipelines",), "Steps with a memo, and their executions"),
    "sweeps": (("pipelines.sweeps",), "Searches for the best parameters: trials, pruning, several workers"),
    "models": (_MODELS, "Registered models, versions, aliases, approvals, policies"),
    "webhooks": (("registry.webhooks",), "What happens to models, told to other programs"),
    "governance": (
        ("governance", "governance.runkeeping"),
        "Principals, roles, legal holds, retention, the compliance report",
    ),
    "retention": (("governance.retaining",), "What runs keep, and for how long"),
    "tokens": (("governance",), "Tokens for people and machines"),
    "packages": (("packaging", "packaging.manifests", "packaging.sizing"), "Models packed to run elsewhere"),
    "endpoints": (("serving", "serving.manifests"), "Endpoints, deployments, traffic, predictions, labels"),
    "predictions": (("serving.batch",), "Predictions for whole datasets"),
    "rollouts": (("rollouts",), "Gradual rollouts with guards"),
    "monitors": (("monitoring",), "Drift, attribution, performance, alerts"),
    "loops": (("loop",), "Triggers, gates, the controller, simulation, reproduction"),
}
"""The groups of use cases: the areas that publish each, and a line for `everloop --help`."""


def load(area: str) -> None:
    """Import an area's tables and publish its use cases."""
    importlib.import_module(f"everloop.{area}.service")


def load_group(group: str) -> None:
    """Publish the use cases of a group."""
    for area in GROUPS[group][0]:
        load(area)


def load_all() -> None:
    """Import every area."""
    for area in AREAS:
        load(area)
