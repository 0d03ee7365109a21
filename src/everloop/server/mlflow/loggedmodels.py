"""Logged models for MLflow's clients: what their `log_model` keeps, before or without a registration."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Literal

import msgspec

from everloop.catalog.session import Session
from everloop.kernel.clock import micros
from everloop.kernel.errors import InvalidInput, NotFound
from everloop.kernel.usecase import Json
from everloop.server.mlflow import experiments, filters, limits, paging, runs
from everloop.server.mlflow.endpoint import Answer, Caller, KeyValue, endpoint, noted_in, pairs
from everloop.tracking import loggedmodels as tracking
from everloop.tracking.entities import LoggedModel, LoggedModelStatus, Measured
from everloop.tracking.words import check_text

Status = Literal["LOGGED_MODEL_PENDING", "LOGGED_MODEL_READY", "LOGGED_MODEL_UPLOAD_FAILED"]
_STATUSES: dict[Status, LoggedModelStatus] = {
    "LOGGED_MODEL_PENDING": "pending",
    "LOGGED_MODEL_READY": "ready",
    "LOGGED_MODEL_UPLOAD_FAILED": "failed",
}
_WORDS: dict[LoggedModelStatus, Status] = {ours: theirs for theirs, ours in _STATUSES.items()}
_VERSIONS = "mlflow.modelVersions"
_LONGEST_NAME = 500
_LONGEST_RUN = 32
_MARKS = ("/", ":", ".", "%", '"', "'")
"""What the name of a logged model cannot hold."""
_MOST = 1000
_DEFAULT = 100
_SEARCHED = filters.Searched(
    ("model_id", "name", "model_type", "status", "source_run_id", "experiment_id"),
    ("creation_timestamp", "creation_time", "last_updated_timestamp", "last_updated_time", "made"),
    "made DESC, model_id ASC",
    ("attribute", "metric", "parameter", "tag"),
)


class Create(msgspec.Struct, frozen=True):
    """A model whose files are about to come."""

    experiment_id: str
    name: str = ""
    model_type: str = ""
    source_run_id: str = ""
    params: list[KeyValue] = []
    tags: list[KeyValue] = []


class ById(msgspec.Struct, frozen=True):
    """A logged model."""

    model_id: str


class Finalize(ById, frozen=True):
    """How the upload of its files went."""

    status: Status


class SetTags(ById, frozen=True):
    """Tags for a logged model."""

    tags: list[KeyValue] = []


class DeleteTag(ById, frozen=True):
    """A tag that a logged model loses."""

    tag_key: str


class LogParameters(ById, frozen=True):
    """Parameters for a logged model."""

    params: list[KeyValue] = []


class OrderBy(msgspec.Struct, frozen=True):
    """One thing that logged models are ordered by."""

    field_name: str
    ascending: bool = True
    dataset_name: str = ""
    dataset_digest: str = ""


class Dataset(msgspec.Struct, frozen=True):
    """A dataset that models were measured on."""

    dataset_name: str = ""
    dataset_digest: str = ""


class Search(msgspec.Struct, frozen=True):
    """Which logged models are wanted."""

    experiment_ids: list[str] = []
    filter: str = ""
    datasets: list[Dataset] = []
    order_by: list[OrderBy] = []
    max_results: int = 0
    page_token: str = ""


@endpoint("POST logged-models")
def create(caller: Caller, request: Create) -> Answer:
    """Begin to log a model."""
    _check_name(request.name)
    parameters, tags = _parameters(request.params), runs.checked_tags(request.tags)
    check_text("model_type", request.model_type)
    run = request.source_run_id  # Also one that is somewhere else: clients may say what they like.
    if len(run) > _LONGEST_RUN:
        raise limits.too_long("source_run_id", _LONGEST_RUN)
    check_text("source_run_id", run)
    with caller.unit("tracking:write") as unit:
        experiment = experiments.active(experiments.made(unit, caller, request.experiment_id))
        id = f"m-{unit.new_id()}"
        now = unit.clock.now()
        name = request.name or id[-8:]
        made = LoggedModel(id, experiment.name, run, name, request.model_type, "pending", parameters, tags, now, now)
        tracking.add(unit, made)
        return {"model": _shown(unit, made)}


@endpoint("GET logged-models/{model_id}")
def get(caller: Caller, request: ById) -> Answer:
    """A logged model."""
    with caller.unit("tracking:read", write=False) as unit:
        return {"model": _shown(unit, existing(unit, request.model_id))}


@endpoint("PATCH logged-models/{model_id}")
def finalize(caller: Caller, request: Finalize) -> Answer:
    """Say how the upload of its files went."""
    with caller.unit("tracking:write") as unit:
        known = existing(unit, request.model_id)
        changed = msgspec.structs.replace(known, status=_STATUSES[request.status])
        return {"model": _shown(unit, tracking.change(unit, changed))}


@endpoint("DELETE logged-models/{model_id}")
def delete(caller: Caller, request: ById) -> Answer:
    """Put a logged model out of sight."""
    with caller.unit("tracking:write") as unit:
        known = existing(unit, request.model_id)
        tracking.change(unit, msgspec.structs.replace(known, deleted=unit.clock.now()))
    return {}


@endpoint("PATCH logged-models/{model_id}/tags")
def set_tags(caller: Caller, request: SetTags) -> Answer:
    """Set tags of a logged model."""
    with caller.unit("tracking:write") as unit:
        known = existing(unit, request.model_id)
        tags = known.tags | runs.checked_tags(request.tags)
        return {"model": _shown(unit, tracking.change(unit, msgspec.structs.replace(known, tags=tags)))}


@endpoint("DELETE logged-models/{model_id}/tags/{tag_key}")
def delete_tag(caller: Caller, request: DeleteTag) -> Answer:
    """Take a tag of a logged model away."""
    with caller.unit("tracking:write") as unit:
        known = existing(unit, request.model_id)
        if request.tag_key not in known.tags:
            raise NotFound(f"No tag with key {request.tag_key[:250]!r} found for model with ID {known.id!r}.")
        tags = {key: value for key, value in known.tags.items() if key != request.tag_key}
        tracking.change(unit, msgspec.structs.replace(known, tags=tags))
    return {}


@endpoint("POST logged-models/{model_id}/params")
def log_parameters(caller: Caller, request: LogParameters) -> Answer:
    """Log parameters of a logged model, each once."""
    with caller.unit("tracking:write") as unit:
        known = existing(unit, request.model_id)
        given = _parameters(request.params)
        other = next((key for key, value in given.items() if known.parameters.get(key, value) != value), None)
        if other is not None:
            raise InvalidInput(f"Parameter {other!r} of logged model {known.id} has another value already.")
        tracking.change(unit, msgspec.structs.replace(known, parameters=known.parameters | given))
    return {}


@endpoint("POST logged-models/search")
def search(caller: Caller, request: Search) -> Answer:
    """The logged models of some experiments that meet a filter, newest first unless another order is named."""
    size = limits.size_of_page(request.max_results or _DEFAULT, _MOST)
    if any(not it.dataset_name for it in request.datasets):
        raise InvalidInput("`dataset_name` in the `datasets` clause must be specified.")
    orders = [_ordered(place, order) for place, order in enumerate(request.order_by)]
    with caller.unit("tracking:read", write=False) as unit:
        wanted = set(request.experiment_ids)
        found = {it.id: it for it in tracking.known(unit) if experiments.id_of(it.experiment) in wanted}
        facts = [_facts(it, request) for it in found.values() if not request.datasets or _values(it, request.datasets)]
        rows = filters.selected(facts, request.filter, orders, _SEARCHED)
        asked = {
            "Experiment IDs in the page token do not match": request.experiment_ids,
            "Order by in the page token does not match": request.order_by,
            "Filter string in the page token does not match": [request.filter, request.datasets],
        }
        page, token = paging.page_after([str(row["model_id"]) for row in rows], request.page_token, size, asked)
        models: list[Json] = [_shown(unit, found[id]) for id in page]
    return {"models": models} | ({"next_page_token": token} if token else {})


def existing(session: Session, id: str) -> LoggedModel:
    """A logged model that was not deleted.

    Raises:
        NotFound: there is none.
    """
    found = tracking.first(session, id)
    if found is None or found.deleted is not None:
        raise NotFound(f"Logged model with ID '{id[:80]}' not found.")
    return found


def note_version(session: Session, id: str, name: str, version: int) -> None:
    """Note in a logged model's tags which version it was registered as, where MLflow's pages look for it."""
    known = existing(session, id)
    noted = noted_in(known.tags.get(_VERSIONS, ""))
    if {"name": name, "version": version} not in noted:
        tags = known.tags | {_VERSIONS: json.dumps([*noted, {"name": name, "version": version}])}
        tracking.change(session, msgspec.structs.replace(known, tags=tags))


def _check_name(name: str) -> None:
    if any(mark in name for mark in _MARKS):
        raise InvalidInput(
            f"Invalid model name ({name[:80]!r}) provided. Model name must be a non-empty string and cannot contain "
            f"the following characters: {_MARKS}"
        )
    if len(name) > _LONGEST_NAME:
        raise limits.too_long("name", _LONGEST_NAME)
    limits.check_name("name", name)


def _parameters(given: Sequence[KeyValue]) -> dict[str, str]:
    for place, pair in enumerate(given):
        limits.check_key(pair.key, f"params[{place}].key", "Param key")
    return {pair.key: limits.kept(pair.key, pair.value, limits.LONGEST_PARAMETER) for pair in given}


def _ordered(place: int, order: OrderBy) -> str:
    """An order as the language has it; one by a metric is by its value on the dataset that the order names."""
    field = f"metrics.`{_by(place)}`" if order.field_name.startswith("metrics.") else order.field_name
    return f"{field} {'ASC' if order.ascending else 'DESC'}"


def _by(place: int) -> str:
    return f"by order {place}"


def _values(model: LoggedModel, datasets: Sequence[Dataset], key: str = "") -> list[Measured]:
    """What was measured of a model on one of some datasets, or on any; of one metric, or of any; the newest last."""
    found = [it for it in tracking.measured(model) if not key or it.key == key]
    if datasets:
        found = [it for it in found if any(_is_of(it, dataset) for dataset in datasets)]
    return sorted(found, key=lambda it: (it.at, it.step))


def _is_of(it: Measured, dataset: Dataset) -> bool:
    named = not dataset.dataset_name or it.dataset == dataset.dataset_name
    return named and (not dataset.dataset_digest or it.digest == dataset.dataset_digest)


def _facts(model: LoggedModel, request: Search) -> filters.Facts:
    facts: dict[str, str | float | tuple[float, ...] | None] = {f"tags.{key}": it for key, it in model.tags.items()}
    facts |= {f"params.{key}": value for key, value in model.parameters.items()}
    for it in _values(model, request.datasets):
        known = facts.get(f"metrics.{it.key}", ())
        facts[f"metrics.{it.key}"] = (*known, it.value) if isinstance(known, tuple) else (it.value,)
    for place, order in enumerate(request.order_by):
        kind, _, key = order.field_name.partition(".")
        if kind == "metrics":
            measured = _values(model, [Dataset(order.dataset_name, order.dataset_digest)], key.strip("`"))
            facts[f"metrics.{_by(place)}"] = measured[-1].value if measured else None
    facts |= {"model_id": model.id, "name": model.name, "model_type": model.kind, "status": _WORDS[model.status]}
    facts |= {"source_run_id": model.run, "experiment_id": experiments.id_of(model.experiment)}
    created, updated = micros(model.created), micros(model.updated)
    facts |= {"creation_timestamp": created // 1000, "creation_time": created // 1000, "made": created}
    return facts | {"last_updated_timestamp": updated // 1000, "last_updated_time": updated // 1000}


def _shown(session: Session, model: LoggedModel) -> Answer:
    info: Answer = {
        "model_id": model.id,
        "experiment_id": experiments.id_of(model.experiment),
        "name": model.name,
        "creation_timestamp_ms": micros(model.created) // 1000,
        "last_updated_timestamp_ms": micros(model.updated) // 1000,
        "artifact_uri": experiments.below(experiments.named(session, model.experiment), f"models/{model.id}/artifacts"),
        "status": _WORDS[model.status],
        "model_type": model.kind,
        "source_run_id": model.run,
        "tags": pairs(model.tags),
    }
    metrics: list[Json] = [
        {"key": it.key, "value": runs.number(it.value), "timestamp": it.at, "step": it.step, "run_id": it.run}
        | {"model_id": model.id}
        | ({"dataset_name": it.dataset} if it.dataset else {})
        | ({"dataset_digest": it.digest} if it.digest else {})
        for it in tracking.measured(model)
    ]
    return {"info": info, "data": {"params": pairs(model.parameters), "metrics": metrics}}
