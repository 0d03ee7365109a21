"""A run as MLflow's tables tell it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from everloop.kernel.clock import EPOCH, from_micros
from everloop.tracking.entities import RunStatus
from everloop.tracking.imports.entities import ForeignRun

STATUSES: Mapping[str, RunStatus] = {
    "RUNNING": "running",
    "SCHEDULED": "scheduled",
    "FINISHED": "finished",
    "FAILED": "failed",
    "KILLED": "killed",
}
LONGEST_ID = 32
"""So long the id of a run is; ..."""
LONGEST_MODEL = 40
"""... and so long that of a logged model may be."""


def at_millis(value: object) -> datetime | None:
    """A time in milliseconds since 1970, if it is one."""
    try:
        return from_micros(int(str(value)) * 1000) if value is not None else None
    except (ValueError, OverflowError):
        return None


def run_of(row: Mapping[str, Any], parameters: dict[str, str], tags: dict[str, str]) -> ForeignRun:
    """A run, of its row, parameters and tags."""
    started, ended = at_millis(row["start_time"]), at_millis(row["end_time"])
    deleted = (at_millis(row["deleted_time"]) or ended or EPOCH) if row["lifecycle_stage"] == "deleted" else None
    return ForeignRun(
        row["run_uuid"],
        str(row["experiment_id"]),
        row["name"] or tags.get("mlflow.runName", ""),
        STATUSES.get(str(row["status"]).upper(), "finished"),
        started or ended or EPOCH,
        ended,
        row["user_id"] or tags.get("mlflow.user", ""),
        tags.get("mlflow.parentRunId", "")[:LONGEST_ID],
        note=tags.get("mlflow.note.content", ""),
        parameters=parameters,
        tags=tags,
        revision=tags.get("mlflow.source.git.commit", ""),
        branch=tags.get("mlflow.source.git.branch", ""),
        deleted=deleted,
    )
