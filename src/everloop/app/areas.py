"""The areas of the platform. An area is deleted by deleting its folder and its line here."""

from __future__ import annotations

import importlib

AREAS = (
    "catalog",
    "datasets",
    "features",
    "tracking",
    "pipelines",
    "registry",
    "governance",
    "packaging",
    "serving",
    "rollouts",
    "monitoring",
    "loop",
)

GROUPS: dict[str, tuple[str, str]] = {
    "audit": ("catalog", "The ledger: who did what, and proof that nobody changed it"),
    "lineage": ("catalog", "What came from what"),
    "datasets": ("datasets", "Versions of data: snapshots, profiles, checks"),
    "features": ("features", "Entities, feature views, point-in-time joins, the online store"),
    "experiments": ("tracking", "Groups of runs"),
    "runs": ("tracking", "Parameters, metrics, artifacts, environment of each training"),
    "pipelines": ("pipelines", "Steps with a memo, and their executions"),
    "models": ("registry", "Registered models, versions, aliases, approvals"),
    "governance": ("governance", "Principals, roles, retention, the compliance report"),
    "tokens": ("governance", "Tokens for people and machines"),
    "packages": ("packaging", "Models packed to run elsewhere"),
    "endpoints": ("serving", "Endpoints, deployments, traffic, predictions, labels"),
    "rollouts": ("rollouts", "Gradual rollouts with guards"),
    "monitors": ("monitoring", "Drift, attribution, performance, alerts"),
    "loops": ("loop", "Triggers, gates, the controller, simulation, reproduction"),
}
"""The groups of use cases: the area that publishes each, and a line for `everloop --help`."""


def load(area: str) -> None:
    """Import an area's tables and publish its use cases."""
    importlib.import_module(f"everloop.{area}.service")


def load_all() -> None:
    """Import every area."""
    for area in AREAS:
        load(area)
