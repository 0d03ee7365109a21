"""Runs for MLflow's clients: made, renamed, ended, put out of sight, shown."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime
from typing import Literal

import msgspec

from everloop.catalog.session import Session
from everloop.kernel.clock import from_micros, micros
from everloop.kernel.errors import Conflict, InvalidInput, NotFound
from everloop.kernel.usecase import Json
from everloop.server.mlflow import experiments, inputs, limits, names
from everloop.server.mlflow.endpoint import Answer, Caller, KeyValue, endpoint, pairs
from everloop.tracking import loggedmodels
from everloop.tracking import runs as written
from everloop.tracking import service as tracking
from everloop.tracking.entities import CodeRevision, Experiment, Logged, RunChanged, RunFinished, RunStatus
from everloop.tracking.runs import Row
from everloop.tracking.words import LONGEST_NAME
from everloop.tracking.writes import write

Status = Literal["RUNNING", "SCHEDULED", "FINISHED", "FAILED", "KILLED"]
RUN_NAME = "mlflow.runName"
"""The tag that MLflow's clients keep a run's name in."""
LONGEST_USER = 128
_OURS: dict[Status, RunStatus] = {
    "RUNNING": "running",
    "SCHEDULED": "scheduled",
    "FINISHED": "finished",
    "FAILED": "failed",
    "KILLED": "killed",
}


class Create(msgspec.Struct, frozen=True):
    """A new run; its times are in milliseconds."""

    experiment_id: str = "0"
    user_id: str = ""
    run_name: str = ""
    start_time: int = 0
    tags: list[KeyValue] = []


class ById(msgspec.Struct, frozen=True):
    """A run; old clients call its id `run_uuid`."""

    run_id: str = ""
    run_uuid: str = ""


class Update(ById, frozen=True):
    """What becomes of a run."""

    status: Status | None = None
    end_time: int = 0
    run_name: str = ""


@endpoint("POST runs/create")
def create(caller: Caller, request: Create) -> Answer:
    """Start a run. What it runs in is known to the client only, who tells of it in tags."""
    tags = checked_tags(request.tags)
    code = CodeRevision(tags.get("mlflow.source.git.commit", ""), tags.get("mlflow.source.git.branch", ""))
    started = time_of(request.start_time, "start_time") if request.start_time else None
    with caller.unit("tracking:write") as unit:
        experiment = experiments.active(experiments.made(unit, caller, request.experiment_id))
        parent = _known(unit, tags.get("mlflow.parentRunId", ""))
        name = _name_of(request, tags.get(RUN_NAME, "")) or names.made(unit.random)
        user = limits.kept("user_id", request.user_id, LONGEST_USER)
        more = tracking.Beginning(user=user, tags={RUN_NAME: name[:LONGEST_NAME]} | tags)
        run = tracking.begin(unit, experiment.name, name, code, parent, more)
        if started is not None:  # Whatever a client takes for the time: its runs may have begun tomorrow.
            written.change(unit, run.id, started=started)
        return {"run": shown(unit, [written.row_of(unit, run.id)])[0]}


@endpoint("GET runs/get")
def get(caller: Caller, request: ById) -> Answer:
    """A run with its parameters, tags and latest metrics."""
    with caller.unit("tracking:read", write=False) as unit:
        return {"run": shown(unit, [row_of(unit, id_of(request))])[0]}


@endpoint("POST runs/update")
def update(caller: Caller, request: Update) -> Answer:
    """End a run, let it go on, or rename it, also when it has ended."""
    id = id_of(request)
    with caller.unit("tracking:write") as unit:
        row = active_row(unit, id)
        if request.run_name:
            rename(unit, id, request.run_name)
        ended = time_of(request.end_time, "end_time") if request.end_time else None
        if request.status is not None or ended is not None:
            _turn(unit, row, _OURS[request.status] if request.status else row.status, ended)
        return {"run_info": shown(unit, [written.row_of(unit, id)])[0]["info"]}


@endpoint("POST runs/delete")
def delete(caller: Caller, request: ById) -> Answer:
    """Put a run out of sight."""
    with caller.unit("tracking:write") as unit:
        written.hide(unit, row_of(unit, id_of(request)).id)
    return {}


@endpoint("POST runs/restore")
def restore(caller: Caller, request: ById) -> Answer:
    """Bring a deleted run back."""
    with caller.unit("tracking:write") as unit:
        written.restore(unit, row_of(unit, id_of(request)).id)
    return {}


def checked_tags(given: Sequence[KeyValue]) -> dict[str, str]:
    """Tags by key, as they are kept.

    Raises:
        InvalidInput: a key is none, or a value cannot be kept.
    """
    for place, tag in enumerate(given):
        limits.check_key(tag.key, f"tags[{place}].key", f"tags[{place}].key")
    return {tag.key: limits.kept(tag.key, tag.value, limits.LONGEST_TAG) for tag in given}


def rename(session: Session, id: str, name: str) -> None:
    """Give a run another name, and its tag with it."""
    limits.check_name("run_name", name)
    written.rename(session, id, name[:LONGEST_NAME], amend=True)
    write(session, Logged(id, tags={RUN_NAME: name[: limits.LONGEST_TAG]}, amend=True))


def time_of(milliseconds: int, field: str) -> datetime:
    """A time that a client tells.

    Raises:
        InvalidInput: no calendar has it.
    """
    try:
        return from_micros(milliseconds * 1000)
    except (OverflowError, ValueError):
        raise limits.invalid(field, milliseconds, "Expected milliseconds since 1970") from None


def id_of(request: ById) -> str:
    """The id of the run that is asked about.

    Raises:
        InvalidInput: none was given.
    """
    return limits.required("run_id", request.run_id or request.run_uuid)


def active_row(session: Session, id: str) -> Row:
    """A run that was not deleted.

    Raises:
        NotFound: there is none.
        Conflict: it was deleted.
    """
    row = row_of(session, id)
    if row.deleted is not None:
        raise inactive(id)
    return row


def inactive(id: str) -> Conflict:
    """The error that a run was deleted, in MLflow's words."""
    return Conflict(f"The run {id} must be in the 'active' state. Current state is deleted.")


def row_of(session: Session, id: str) -> Row:
    """A run, in MLflow's words when there is none.

    Raises:
        NotFound: there is none.
    """
    found = written.first(session, id)
    if found is None:
        raise NotFound(f"Run with id={id[:80]} not found")
    return found


def shown(session: Session, rows: Sequence[Row]) -> list[Answer]:
    """Runs as they travel."""
    models = loggedmodels.outputs_of(session, [row.id for row in rows])
    groups = {name: experiments.named(session, name) for name in {row.experiment for row in rows}}
    return [
        {
            "info": _info(row, groups[row.experiment]),
            "data": _data(row),
            "inputs": inputs.shown(session, row.inputs),
            "outputs": {
                "model_outputs": [{"model_id": id, "step": step} for id, step in models.get(row.id, {}).items()]
            },
        }
        for row in rows
    ]


def number(value: float) -> Json:
    """A number as JSON: what it has no numeral for is a text."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _info(row: Row, group: Experiment) -> Answer:
    info: Answer = {
        "run_id": row.id,
        "run_uuid": row.id,
        "run_name": row.name,
        "experiment_id": experiments.id_of(row.experiment),
        "user_id": row.user,
        "status": row.status.upper(),
        "start_time": micros(row.started) // 1000,
        "artifact_uri": experiments.below(group, f"{row.id}/artifacts"),
        "lifecycle_stage": experiments.stage_of(row.deleted or group.deleted),
    }
    return info | ({"end_time": micros(row.ended) // 1000} if row.ended else {})


def _data(row: Row) -> Answer:
    texts = written.texts_of(row)
    metrics: list[Json] = [
        {"key": key, "value": number(it.value), "timestamp": it.at // 1000, "step": it.step}
        for key, it in sorted(written.latest_of(row).items())
    ]
    return {
        "metrics": metrics,
        "params": pairs(dict(sorted(texts.parameters.items()))),
        "tags": pairs(dict(sorted(texts.tags.items()))),
    }


def _known(session: Session, id: str) -> str:
    """The id, if there is such a run here; a parent that is somewhere else stays in the tag."""
    found = written.first(session, id) if id else None
    return found.id if found else ""


def _name_of(request: Create, tag: str) -> str:
    """What a run is to be called.

    Raises:
        InvalidInput: the name and the tag for it differ, or it cannot be kept.
    """
    if request.run_name and tag and request.run_name != tag:
        raise InvalidInput(
            "Both 'run_name' argument and 'mlflow.runName' tag are specified, but with different values "
            f"(run_name='{request.run_name[:80]}', mlflow.runName='{tag[:80]}')."
        )
    limits.check_name("run_name", request.run_name or tag)
    return request.run_name or tag


def _turn(session: Session, row: Row, status: RunStatus, ended: datetime | None) -> None:
    """Give a run the status that a client tells, whatever it had, and the time of its end.

    Through our other doors a run that has ended stays as it is; MLflow's clients change theirs all day.
    """
    goes_on = status in ("running", "scheduled")
    if row.status == "running" and not goes_on:
        written.end(session, row.id, status, ended)
        if ended is None:  # As MLflow's server has it, which orders such runs last.
            written.change(session, row.id, ended=None)
        return
    at = ended or (None if goes_on else row.ended)
    if (status, at) == (row.status, row.ended):
        return
    if status == "running":
        written.resume(session, row.id)
    written.change(session, row.id, status=status, ended=at)
    urn = session.urn("run", row.id)
    session.emit(RunChanged(subject=urn, name=row.name) if goes_on else RunFinished(subject=urn, status=status))
