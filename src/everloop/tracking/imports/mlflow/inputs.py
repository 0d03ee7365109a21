"""What runs of MLflow's used and made: datasets, and logged models."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import msgspec

from everloop.tracking.imports.mlflow.database import Database
from everloop.tracking.imports.mlflow.runs import LONGEST_MODEL


def datasets(database: Database, ids: Sequence[str]) -> dict[str, list[bytes]]:
    """What each run used, in the words that MLflow's clients describe datasets in."""
    if database.known_table("inputs") is None:
        return {}
    used = [
        row
        for row in database.rows(
            "inputs",
            ("input_uuid", "source_type", "source_id", "destination_type", "destination_id"),
            "destination_id",
            ids,
        )
        if (row["source_type"], row["destination_type"]) == ("DATASET", "RUN")
    ]
    columns = ("name", "digest", "dataset_source_type", "dataset_source", "dataset_schema", "dataset_profile")
    described = {
        row["dataset_uuid"]: row
        for row in database.rows(
            "datasets",
            ("dataset_uuid", *columns),
            "dataset_uuid",
            list({edge["source_id"] for edge in used}),
        )
    }
    noted: dict[str, list[dict[str, str]]] = defaultdict(list)
    uuids = [edge["input_uuid"] for edge in used]
    for row in database.rows("input_tags", ("input_uuid", "name", "value"), "input_uuid", uuids):
        noted[row["input_uuid"]].append({"key": row["name"], "value": row["value"]})
    found: dict[str, list[bytes]] = defaultdict(list)
    for edge in used:
        if edge["source_id"] in described:
            told = [str(described[edge["source_id"]][column] or "") for column in columns]
            found[edge["destination_id"]].append(dataset(told, noted[edge["input_uuid"]]))
    return found


def edges(database: Database, kind: str, ids: Sequence[str]) -> dict[str, dict[str, int]]:
    """The logged models that came out of runs, or went into them, with the step."""
    if database.known_table("inputs") is None:
        return {}
    found: dict[str, dict[str, int]] = defaultdict(dict)
    for row in database.rows("inputs", ("source_type", "source_id", "destination_id", "step"), "source_id", ids):
        if row["source_type"] == kind:
            found[row["source_id"]][row["destination_id"][:LONGEST_MODEL]] = row["step"] or 0
    return found


def dataset(told: Sequence[str], tags: list[dict[str, str]]) -> bytes:
    """A dataset that a run used, in the words in which our door for MLflow keeps it."""
    fields = ("name", "digest", "source_type", "source", "schema", "profile")
    return msgspec.json.encode({"dataset": dict(zip(fields, told, strict=True)), "tags": tags})
