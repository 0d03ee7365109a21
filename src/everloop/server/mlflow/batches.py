"""What MLflow's clients log to runs: parameters, metrics and tags, one by one or in batches.

A run that has ended takes them too, as an amendment that the ledger tells of: these clients tag and measure afterwards.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import NoReturn

import msgspec

from everloop.catalog.session import Session
from everloop.kernel.errors import Conflict, InvalidInput, NotFound
from everloop.server.mlflow import limits, runs
from everloop.server.mlflow.endpoint import Answer, Caller, KeyValue, endpoint, noted_in
from everloop.tracking import loggedmodels
from everloop.tracking import runs as written
from everloop.tracking.entities import Logged, Measured, Points
from everloop.tracking.writes import write

_LIMITS = {"metrics": 1000, "params": 100, "tags": 100}
_MOST_ENTITIES = 1000
_LATEST = limits.INT64 // 1000
_MODELS = "mlflow.log-model.history"
"""The tag in which clients before version 3 kept the models that they logged."""


class Parameter(runs.ById, frozen=True, kw_only=True):
    """A parameter of a run."""

    key: str
    value: str = ""


class Point(msgspec.Struct, frozen=True, gc=False):
    """A measured value at a time, in milliseconds; it may be one of a logged model, on a dataset."""

    key: str
    value: float | str
    timestamp: int
    step: int = 0
    model_id: str = ""
    dataset_name: str = ""
    dataset_digest: str = ""


class Metric(Point, frozen=True, kw_only=True):
    """A measured value of a run."""

    run_id: str = ""
    run_uuid: str = ""


class Batch(runs.ById, frozen=True):
    """All sorts of things for a run, all of them or none."""

    metrics: list[Point] = []
    params: list[KeyValue] = []
    tags: list[KeyValue] = []


class Tag(runs.ById, frozen=True, kw_only=True):
    """A tag of a run."""

    key: str
    value: str = ""


class Model(runs.ById, frozen=True, kw_only=True):
    """A model that was logged to a run, as a client before version 3 tells of it."""

    model_json: str


@endpoint("POST runs/log-parameter")
def log_parameter(caller: Caller, request: Parameter) -> Answer:
    """Log a parameter: once, or again with the same value."""
    limits.check_key(request.key, "key", "Param key")
    value = limits.kept(request.key, request.value, limits.LONGEST_PARAMETER)
    return _write(caller, Logged(runs.id_of(request), parameters={request.key: value}, amend=True))


@endpoint("POST runs/log-metric")
def log_metric(caller: Caller, request: Metric) -> Answer:
    """Log a value of a metric."""
    id = limits.required("run_id", request.run_id or request.run_uuid)
    return _write(caller, Logged(id, points_of([request]), amend=True), [request])


@endpoint("POST runs/set-tag")
def set_tag(caller: Caller, request: Tag) -> Answer:
    """Set a tag; the one that MLflow keeps names in renames the run."""
    id = runs.id_of(request)
    limits.check_key(request.key, "key", "key")
    value = limits.kept(request.key, request.value, limits.LONGEST_TAG)
    if request.key == runs.RUN_NAME:
        with caller.unit("tracking:write") as unit:
            runs.active_row(unit, id)
            runs.rename(unit, id, value)
        return {}
    return _write(caller, Logged(id, tags={request.key: value}, amend=True))


@endpoint("POST runs/delete-tag")
def delete_tag(caller: Caller, request: Tag) -> Answer:
    """Take a tag away."""
    id = runs.id_of(request)
    with caller.unit("tracking:write") as unit:
        if request.key not in written.texts_of(runs.active_row(unit, id)).tags:
            raise NotFound(f"No tag with name: {request.key[:250]} in run with id {id}")
        written.delete_tag(unit, id, request.key, amend=True)
    return {}


@endpoint("POST runs/log-batch")
def log_batch(caller: Caller, request: Batch) -> Answer:
    """Log metrics, parameters and tags: all of it or nothing."""
    id = runs.id_of(request)
    points = points_of(request.metrics, "metrics[{}].")
    parameters = _parameters(request.params)
    tags = runs.checked_tags(request.tags)
    _check_sizes(request)
    logged = Logged(id, points, parameters, tags, amend=True)
    return _write(caller, logged, [metric for metric in request.metrics if metric.model_id])


@endpoint("POST runs/log-model")
def log_model(caller: Caller, request: Model) -> Answer:
    """Note a model that was logged to a run in the tag that old clients look for."""
    with caller.unit("tracking:write") as unit:
        row = runs.active_row(unit, runs.id_of(request))
        before = noted_in(written.texts_of(row).tags.get(_MODELS, ""))
        try:
            noted = [*before, msgspec.json.decode(request.model_json)]
        except (msgspec.DecodeError, RecursionError) as error:
            raise InvalidInput(
                f"Malformed model info. {request.model_json[:80]!r} is not valid JSON ({error})."
            ) from None
        # Not cut to what MLflow keeps of a tag: half of a list cannot be read when the next model is logged.
        write(unit, Logged(row.id, tags={_MODELS: msgspec.json.encode(noted).decode()}, amend=True))
    return {}


def points_of(metrics: Sequence[Point], path: str = "") -> Points | None:
    """Metrics as columns, about 150 ns each; None where there are none. `path` says where each stands, by its number.

    Raises:
        InvalidInput: a key, value, time or step is none.
    """
    if not metrics:
        return None
    keys = [metric.key for metric in metrics]
    times, steps = [metric.timestamp for metric in metrics], [metric.step for metric in metrics]
    index = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    for key in index:
        place = keys.index(key)
        limits.check_key(key, f"{path.format(place)}{'name' if path else 'key'}", "Metric name")
    if min(times) < 0 or max(times) >= _LATEST:
        _refuse_out_of_range(metrics, path)
    count = len(metrics)
    try:
        step = struct.pack(f"<{count}q", *steps)
    except struct.error:
        _refuse_out_of_range(metrics, path)
    return Points(
        tuple(index),
        struct.pack(f"<{count}I", *map(index.__getitem__, keys)),
        step,
        struct.pack(f"<{count}q", *[time * 1000 for time in times]),
        _values(metrics, path),
    )


def _values(metrics: Sequence[Point], path: str) -> bytes:
    layout = f"<{len(metrics)}d"
    try:
        return struct.pack(layout, *[metric.value for metric in metrics])
    except struct.error:  # One of them is a text, such as NaN.
        return struct.pack(layout, *[_value(metric, path, place) for place, metric in enumerate(metrics)])


def _value(metric: Point, path: str, place: int) -> float:
    try:
        return float(metric.value)
    except ValueError:
        raise limits.invalid(
            f"{path.format(place)}value",
            metric.value,
            f"(timestamp={metric.timestamp}). Please specify value as a valid double (64-bit floating point)",
        ) from None


def _refuse_out_of_range(metrics: Sequence[Point], path: str) -> NoReturn:
    for place, metric in enumerate(metrics):
        if not 0 <= metric.timestamp < _LATEST or not -limits.INT64 <= metric.step < limits.INT64:
            raise _out_of_range(metric, path.format(place))
    raise AssertionError("none of the metrics is out of range")


def _out_of_range(metric: Point, path: str) -> InvalidInput:
    about = f"metric '{metric.key}' (value={metric.value})."
    if not -limits.INT64 <= metric.step < limits.INT64:
        return limits.invalid(f"{path}step", metric.step, f"{about} Step must be a valid long (64-bit integer).")
    return limits.invalid(
        f"{path}timestamp", metric.timestamp, f"{about} Timestamp must be a nonnegative long (64-bit integer) "
    )


def _parameters(given: Sequence[KeyValue]) -> dict[str, str]:
    found: dict[str, str] = {}
    for place, pair in enumerate(given):
        limits.check_key(pair.key, f"params[{place}].key", "Param key")
        if pair.key in found:
            raise InvalidInput(
                f"Duplicate parameter keys have been submitted: {[pair.key]}. Please ensure the request contains only "
                "one param value per param key."
            )
        found[pair.key] = limits.kept(pair.key, pair.value, limits.LONGEST_PARAMETER)
    return found


def _check_sizes(request: Batch) -> None:
    sizes = {"metrics": len(request.metrics), "params": len(request.params), "tags": len(request.tags)}
    for name, most in _LIMITS.items():
        if sizes[name] > most:
            raise _too_many(name, most, sizes[name])
    if sum(sizes.values()) > _MOST_ENTITIES:
        raise _too_many("metrics, params, and tags", _MOST_ENTITIES, sum(sizes.values()))


def _too_many(name: str, most: int, count: int) -> InvalidInput:
    return InvalidInput(
        f"A batch logging request can contain at most {most} {name}. Got {count} {name}. "
        f"Please split up {name} across multiple requests and try again."
    )


def _write(caller: Caller, logged: Logged, of_models: Sequence[Point] = ()) -> Answer:
    """Take a write; what is measured of logged models goes to them in the same transaction.

    Raises:
        NotFound: there is no such run, or no such logged model.
        Conflict: the run was deleted, or a parameter is there with another value.
    """
    try:
        if logged.tags.get(runs.RUN_NAME) is None and not any(metric.model_id for metric in of_models):
            caller.write(logged)
            return {}
        with caller.unit("tracking:write") as unit:
            write(unit, logged)
            if runs.RUN_NAME in logged.tags:
                runs.rename(unit, logged.run, logged.tags[runs.RUN_NAME])
            for model in {metric.model_id for metric in of_models if metric.model_id}:
                measured = [_measured(logged.run, metric) for metric in of_models if metric.model_id == model]
                loggedmodels.measure(unit, model, measured)
    except (NotFound, Conflict) as error:
        with caller.unit("tracking:read", write=False) as unit:
            raise _in_their_words(unit, logged, error) from None
    return {}


def _measured(run: str, metric: Point) -> Measured:
    dataset = metric.dataset_name, metric.dataset_digest
    return Measured(run, metric.key, float(metric.value), metric.timestamp, metric.step, *dataset)


def _in_their_words(session: Session, logged: Logged, error: NotFound | Conflict) -> NotFound | Conflict:
    """Why a write was refused, as MLflow's server says it."""
    row = runs.active_row(session, logged.run)
    known = written.texts_of(row).parameters
    changed = {key: value for key, value in logged.parameters.items() if known.get(key, value) != value}
    if not changed:
        return error
    if len(logged.parameters) == 1 and logged.points is None and not logged.tags:
        ((key, value),) = changed.items()
        return Conflict(
            f"Changing param values is not allowed. Param with key='{key}' was already logged with "
            f"value='{known[key]}' for run ID='{logged.run}'. Attempted logging new value '{value}'."
        )
    told = [{"key": key, "old_value": known[key], "new_value": value} for key, value in changed.items()]
    return Conflict(
        f"Changing param values is not allowed. Params were already logged='{told}' for run ID='{logged.run}'."
    )
