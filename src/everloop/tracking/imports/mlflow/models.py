"""The models that MLflow keeps: those that runs logged, and registered ones with their versions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from everloop.kernel.clock import EPOCH
from everloop.tracking.entities import LoggedModelStatus, Measured
from everloop.tracking.imports.entities import ForeignModel, ForeignRegistered, ForeignVersion
from everloop.tracking.imports.mlflow.database import Database
from everloop.tracking.imports.mlflow.runs import LONGEST_MODEL, at_millis

_STATUSES: Mapping[int, LoggedModelStatus] = {1: "pending", 2: "ready", 3: "failed"}
_LOGGED: tuple[str, ...] = (
    "model_id",
    "name",
    "artifact_location",
    "creation_timestamp_ms",
    "last_updated_timestamp_ms",
    "status",
)
_LOGGED += ("lifecycle_stage", "model_type", "source_run_id")
_VERSION: tuple[str, ...] = (
    "name",
    "version",
    "creation_time",
    "description",
    "user_id",
    "current_stage",
    "source",
    "run_id",
)
_VERSION += ("run_link", "storage_location")


def logged(database: Database, ids: Sequence[str]) -> tuple[dict[str, list[ForeignModel]], dict[str, str]]:
    """The models that some runs logged, by run, without their files; and where those are, by model."""
    if database.known_table("logged_models") is None:
        return {}, {}
    rows = list(database.rows("logged_models", _LOGGED, "source_run_id", ids))
    known = [row["model_id"] for row in rows]
    parameters = _of_models(database, "logged_model_params", "param_key", "param_value", known)
    tags = _of_models(database, "logged_model_tags", "tag_key", "tag_value", known)
    measured = _measured(database, known)
    places: dict[str, str] = {}
    found: dict[str, list[ForeignModel]] = defaultdict(list)
    for row in rows:
        id = row["model_id"]
        at, updated = (at_millis(row[it]) or EPOCH for it in _LOGGED[3:5])
        places[id[:LONGEST_MODEL]] = row["artifact_location"] or ""
        found[row["source_run_id"]].append(
            ForeignModel(
                id[:LONGEST_MODEL],
                row["name"] or id[-8:],
                row["model_type"] or "",
                _STATUSES.get(row["status"], "ready"),
                at,
                updated,
                parameters.get(id, {}),
                tags.get(id, {}),
                updated if row["lifecycle_stage"] == "deleted" else None,
                tuple(measured.get(id, ())),
            )
        )
    return found, places


def _of_models(database: Database, table: str, key: str, value: str, ids: Sequence[str]) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for row in database.rows(table, ("model_id", key, value), "model_id", ids):
        found[row["model_id"]][row[key]] = row[value] or ""
    return found


def _measured(database: Database, ids: Sequence[str]) -> dict[str, list[Measured]]:
    wanted = ("model_id", "run_id", "metric_name", "metric_value", "metric_timestamp_ms", "metric_step")
    found: dict[str, list[Measured]] = defaultdict(list)
    for row in database.rows("logged_model_metrics", (*wanted, "dataset_name", "dataset_digest"), "model_id", ids):
        known = [row["dataset_name"] or "", row["dataset_digest"] or ""]
        found[row["model_id"]].append(Measured(*(row[it] for it in wanted[1:]), *known))
    return found


def registered(database: Database) -> list[ForeignRegistered]:
    """The registered models."""
    noted = _noted(database, "registered_model_tags", ("name",))
    of_versions = _noted(database, "model_version_tags", ("name", "version"))
    aliases: dict[str, dict[str, int]] = defaultdict(dict)
    for row in database.rows("registered_model_aliases", ("name", "alias", "version")):
        aliases[row["name"]][row["alias"]] = row["version"]
    versions: dict[str, list[ForeignVersion]] = defaultdict(list)
    for row in database.rows("model_versions", _VERSION):
        tags = of_versions.get((row["name"], row["version"]), {})
        versions[row["name"]].append(_version(row, tags))
    wanted = ("name", "creation_time", "description")
    return [
        ForeignRegistered(
            row["name"],
            at_millis(row["creation_time"]) or EPOCH,
            row["description"] or "",
            noted.get((row["name"],), {}),
            aliases.get(row["name"], {}),
            tuple(sorted(versions[row["name"]], key=lambda it: it.number)),
        )
        for row in database.rows("registered_models", wanted)
    ]


def _noted(database: Database, table: str, of: Sequence[str]) -> dict[tuple[object, ...], dict[str, str]]:
    found: dict[tuple[object, ...], dict[str, str]] = defaultdict(dict)
    for row in database.rows(table, (*of, "key", "value")):
        found[tuple(row[it] for it in of)][row["key"]] = row["value"] or ""
    return found


def _version(row: Mapping[str, Any], tags: dict[str, str]) -> ForeignVersion:
    return ForeignVersion(
        int(row["version"]),
        at_millis(row["creation_time"]) or EPOCH,
        row["source"] or "",
        row["run_id"] or "",
        row["description"] or "",
        row["user_id"] or "",
        row["current_stage"] or "None",
        row["run_link"] or "",
        row["storage_location"] or "",
        tags,
    )
