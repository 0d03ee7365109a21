"""Runs for MLflow's clients."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from everloop.catalog.session import Session
from everloop.kernel.clock import from_micros, micros
from everloop.kernel.errors import InvalidInput, NotFound
from everloop.kernel.usecase import Json
from everloop.server.mlflow import experiments, inputs, paging
from everloop.server.mlflow.endpoint import Answer, Caller, KeyValue, endpoint, pairs, texts
from everloop.tracking import loggedmodels
from everloop.tracking import runs as written
from everloop.tracking import service as tracking
from everloop.tracking.entities import CodeRevision, MetricPoint, RunStatus
from everloop.tracking.points import number_of
from everloop.tracking.runs import Row
from everloop.tracking.words import LONGEST_NAME

Status = Literal["RUNNING", "SCHEDULED", "FINISHED", "FAILED", "KILLED"]
LONGEST_PARAMETER = 6000
LONGEST_TAG = 8000
_LIMITS = {"metrics": 1000, "params": 100, "tags": 100}
_MOST_ENTITIES = 1000
_MOST_POINTS = 25_000
_RUN_NAME = "mlflow.runName"


class Create(msgspec.Struct, frozen=True):
    """A new run."""

    experiment_id: str = "0"
    user_id: str = ""
    run_name: str = ""
    tags: list[KeyValue] = []


class ById(msgspec.Struct, frozen=True):
    """A run; old clients call its id `run_uuid`."""

    run_id: str = ""
    run_uuid: str = ""


class Update(ById, frozen=True):
    """What becomes of a run."""

    status: Status | None = None
    run_name: str = ""


class Parameter(ById, frozen=True, kw_only=True):
    """A parameter of a run."""

    key: str
    value: str = ""


class Point(msgspec.Struct, frozen=True):
    """A measured value at a time, in milliseconds."""

    key: str
    value: float | str
    timestamp: int
    step: int = 0


class Metric(ById, frozen=True, kw_only=True):
    """A measured value of a run."""

    key: str
    value: float | str
    timestamp: int
    step: int = 0


class Batch(ById, frozen=True):
    """All sorts of things for a run, all of them or none."""

    metrics: list[Point] = []
    params: list[KeyValue] = []
    tags: list[KeyValue] = []


class Tag(ById, frozen=True, kw_only=True):
    """A tag of a run."""

    key: str
    value: str = ""


class History(ById, frozen=True, kw_only=True):
    """Every value of a metric."""

    metric_key: str
    max_results: int = _MOST_POINTS
    page_token: str = ""


@endpoint("POST runs/create")
def create(caller: Caller, request: Create) -> Answer:
    """Start a run. What it runs in is known to the client only, who tells of it in tags."""
    tags = texts(request.tags, LONGEST_TAG)
    code = CodeRevision(tags.get("mlflow.source.git.commit", ""), tags.get("mlflow.source.git.branch", ""))
    with caller.unit("tracking:write") as unit:
        experiment = experiments.made(unit, caller, request.experiment_id)
        parent = _known(unit, tags.get("mlflow.parentRunId", ""))
        name = request.run_name or tags.get(_RUN_NAME, "")
        run = tracking.begin(unit, experiment.name, name, code, parent, tracking.Beginning(user=request.user_id))
        tags |= {_RUN_NAME: run.name} | ({"mlflow.user": request.user_id} if request.user_id else {})
        tracking.log(unit, run.id, tags=tags)
        return {"run": shown(unit, [written.row_of(unit, run.id)])[0]}


@endpoint("GET runs/get")
def get(caller: Caller, request: ById) -> Answer:
    """A run with its parameters, tags and latest metrics."""
    with caller.unit("tracking:read", write=False) as unit:
        return {"run": shown(unit, [row_of(unit, id_of(request))])[0]}


@endpoint("POST runs/update")
def update(caller: Caller, request: Update) -> Answer:
    """End a run, or rename it. A run that has ended stays as it is: asked for the status that it has, it says so."""
    id = id_of(request)
    with caller.unit("tracking:write") as unit:
        row = row_of(unit, id)
        if request.run_name and request.run_name != row.name:
            written.rename(unit, id, request.run_name[:LONGEST_NAME])
            tracking.log(unit, id, tags={_RUN_NAME: request.run_name[: LONGEST_NAME]})
        if request.status and request.status != row.status.upper():
            tracking.finish(unit, id, _ended(request.status, id))
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


@endpoint("POST runs/log-parameter")
def log_parameter(caller: Caller, request: Parameter) -> Answer:
    """Log a parameter: once, or again with the same value."""
    caller.call("runs.log", id=id_of(request), parameters={request.key: request.value[:LONGEST_PARAMETER]})
    return {}


@endpoint("POST runs/log-metric")
def log_metric(caller: Caller, request: Metric) -> Answer:
    """Log a value of a metric."""
    point = Point(request.key, request.value, request.timestamp, request.step)
    caller.call("runs.log", id=id_of(request), metrics=[_point(point)])
    return {}


@endpoint("POST runs/set-tag")
def set_tag(caller: Caller, request: Tag) -> Answer:
    """Set a tag; the one that MLflow keeps names in renames the run."""
    id, value = id_of(request), request.value[:LONGEST_TAG]
    with caller.unit("tracking:write") as unit:
        if request.key == _RUN_NAME:
            written.rename(unit, id, value[:LONGEST_NAME])
        tracking.log(unit, id, tags={request.key: value})
    return {}


@endpoint("POST runs/delete-tag")
def delete_tag(caller: Caller, request: Tag) -> Answer:
    """Take a tag away."""
    with caller.unit("tracking:write") as unit:
        written.delete_tag(unit, id_of(request), request.key)
    return {}


@endpoint("POST runs/log-batch")
def log_batch(caller: Caller, request: Batch) -> Answer:
    """Log metrics, parameters and tags: all of it or nothing."""
    _check_batch(request)
    parameters = texts(request.params, LONGEST_PARAMETER)
    for pair in request.params:
        if parameters[pair.key] != pair.value[:LONGEST_PARAMETER]:
            raise InvalidInput(f"Duplicate parameter keys have been submitted: {pair.key!r}, with different values.")
    tags = texts(request.tags, LONGEST_TAG)
    points = [_point(point) for point in request.metrics]
    caller.call("runs.log", id=id_of(request), metrics=points, parameters=parameters, tags=tags)
    return {}


@endpoint("GET metrics/get-history")
def history(caller: Caller, request: History) -> Answer:
    """Every value of a metric, by time; the very same value logged twice is there once."""
    size = paging.check_size(request.max_results, _MOST_POINTS)
    points = caller.call("runs.history", id=id_of(request), key=request.metric_key)
    rows = sorted({(_millis(point), point.step, _order(point), str(number_of(point))) for point in points})
    page, token = paging.page(rows, request.page_token, size)
    metrics: list[Json] = [
        {"key": request.metric_key, "value": number(float(text)), "timestamp": at, "step": step}
        for at, step, _, text in page
    ]
    return {"metrics": metrics} | ({"next_page_token": token} if token else {})


def id_of(request: ById) -> str:
    """The id of the run that is asked about.

    Raises:
        InvalidInput: none was given.
    """
    if not (request.run_id or request.run_uuid):
        raise InvalidInput("Missing value for required parameter 'run_id'.")
    return request.run_id or request.run_uuid


def row_of(session: Session, id: str) -> Row:
    """A run, in MLflow's words when there is none.

    Raises:
        NotFound: there is none.
    """
    try:
        return written.row_of(session, id)
    except NotFound:
        raise NotFound(f"Run with id={id[:80]} not found") from None


def shown(session: Session, rows: Sequence[Row]) -> list[Answer]:
    """Runs as they travel."""
    models = loggedmodels.by_run(session, [row.id for row in rows])
    roots = {known.name: experiments.location_of(known) for known in experiments.everything(session)}
    return [
        {
            "info": _info(row, f"{roots[row.experiment]}/{row.id}/artifacts"),
            "data": _data(row),
            "inputs": inputs.shown(session, row.inputs),
            "outputs": {"model_outputs": [{"model_id": it.id, "step": 0} for it in models.get(row.id, ())]},
        }
        for row in rows
    ]


def number(value: float) -> Json:
    """A number as JSON: what it has no numeral for is a text."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _info(row: Row, artifacts: str) -> Answer:
    user = written.texts_of(row).tags.get("mlflow.user", "")
    info: Answer = {
        "run_id": row.id,
        "run_uuid": row.id,
        "run_name": row.name,
        "experiment_id": experiments.id_of(row.experiment),
        "user_id": user,
        "status": row.status.upper(),
        "start_time": micros(row.started) // 1000,
        "artifact_uri": artifacts,
        "lifecycle_stage": experiments.stage_of(row.deleted),
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
    try:
        return written.row_of(session, id).id if id else ""
    except NotFound:
        return ""


def _ended(status: Status, id: str) -> RunStatus:
    if status in ("RUNNING", "SCHEDULED"):
        raise InvalidInput(
            f"Run {id} cannot become {status}: a run that has ended never changes.",
            hint="Start another, nested in it or with its id as the tag mlflow.parentRunId.",
        )
    return {"FINISHED": "finished", "FAILED": "failed", "KILLED": "killed"}[status]  # type: ignore[return-value]


def _check_batch(request: Batch) -> None:
    counts: Mapping[str, int] = {
        "metrics": len(request.metrics),
        "params": len(request.params),
        "tags": len(request.tags),
    }
    for name, most in _LIMITS.items():
        if counts[name] > most:
            raise InvalidInput(
                f"A batch logging request can contain at most {most} {name}. Got {counts[name]} {name}.",
                hint="Split it into several requests.",
            )
    if sum(counts.values()) > _MOST_ENTITIES:
        raise InvalidInput(
            f"A batch logging request can contain at most {_MOST_ENTITIES} metrics, params and tags.",
            hint="Split it into several requests.",
        )


def _point(point: Point) -> MetricPoint:
    try:
        return MetricPoint(point.key, float(point.value), point.step, from_micros(point.timestamp * 1000))
    except ValueError:
        raise InvalidInput(f"Invalid value {point.value!r} for parameter 'value' of metric {point.key!r}.") from None
    except OverflowError:
        raise InvalidInput(f"Invalid timestamp {point.timestamp} of metric {point.key!r}: milliseconds.") from None


def _millis(point: MetricPoint) -> int:
    return micros(point.at) // 1000 if point.at else 0


def _order(point: MetricPoint) -> float:
    value = number_of(point)
    return -math.inf if math.isnan(value) else value
