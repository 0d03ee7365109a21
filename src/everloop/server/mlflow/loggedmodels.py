"""Logged models for MLflow's clients: what their `log_model` keeps, before or without a registration."""

from __future__ import annotations

from typing import Literal

import msgspec

from everloop.catalog.session import Session
from everloop.kernel.clock import micros
from everloop.kernel.errors import InvalidInput, NotFound
from everloop.kernel.usecase import Json
from everloop.server.mlflow import experiments, filters, inputs, paging, runs
from everloop.server.mlflow.endpoint import Answer, Caller, KeyValue, endpoint, pairs, texts
from everloop.tracking import experiments as groups
from everloop.tracking import loggedmodels as tracking
from everloop.tracking import service as written
from everloop.tracking.entities import LoggedModel, LoggedModelStatus

Status = Literal["LOGGED_MODEL_PENDING", "LOGGED_MODEL_READY", "LOGGED_MODEL_UPLOAD_FAILED"]
_STATUSES: dict[Status, LoggedModelStatus] = {
    "LOGGED_MODEL_PENDING": "pending",
    "LOGGED_MODEL_READY": "ready",
    "LOGGED_MODEL_UPLOAD_FAILED": "failed",
}
_WORDS: dict[LoggedModelStatus, Status] = {ours: theirs for theirs, ours in _STATUSES.items()}
_LONGEST_NAME = 500
_MOST = 1000


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


class Search(msgspec.Struct, frozen=True):
    """Which logged models are wanted."""

    experiment_ids: list[str] = []
    filter: str = ""
    order_by: list[OrderBy] = []
    max_results: int = 100
    page_token: str = ""


class Inputs(runs.ById, frozen=True):
    """What a run used."""

    datasets: list[inputs.DatasetInput] = []
    models: list[ById] = []


class Outputs(runs.ById, frozen=True):
    """The models that came out of a run."""

    models: list[ById] = []


@endpoint("POST logged-models")
def create(caller: Caller, request: Create) -> Answer:
    """Begin to log a model."""
    if len(request.name) > _LONGEST_NAME or not request.name.isprintable():
        raise InvalidInput(f"Invalid value {request.name[:80]!r} for parameter 'name'.")
    with caller.unit("tracking:write") as unit:
        experiment = experiments.made(unit, caller, request.experiment_id)
        run = runs.row_of(unit, request.source_run_id).id if request.source_run_id else ""
        id = f"m-{unit.new_id()[2:]}"  # As long as the id of a run, under which artifacts are kept too.
        parameters, tags = texts(request.params, runs.LONGEST_PARAMETER), texts(request.tags, runs.LONGEST_TAG)
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
        tags = known.tags | texts(request.tags, runs.LONGEST_TAG)
        return {"model": _shown(unit, tracking.change(unit, msgspec.structs.replace(known, tags=tags)))}


@endpoint("DELETE logged-models/{model_id}/tags/{tag_key}")
def delete_tag(caller: Caller, request: DeleteTag) -> Answer:
    """Take a tag of a logged model away."""
    with caller.unit("tracking:write") as unit:
        known = existing(unit, request.model_id)
        if request.tag_key not in known.tags:
            raise NotFound(f"Logged model {known.id} has no tag {request.tag_key[:80]!r}.")
        tags = {key: value for key, value in known.tags.items() if key != request.tag_key}
        tracking.change(unit, msgspec.structs.replace(known, tags=tags))
    return {}


@endpoint("POST logged-models/{model_id}/params")
def log_parameters(caller: Caller, request: LogParameters) -> Answer:
    """Log parameters of a logged model, each once."""
    with caller.unit("tracking:write") as unit:
        known = existing(unit, request.model_id)
        given = texts(request.params, runs.LONGEST_PARAMETER)
        other = next((key for key, value in given.items() if known.parameters.get(key, value) != value), None)
        if other is not None:
            raise InvalidInput(f"Parameter {other!r} of logged model {known.id} has another value already.")
        tracking.change(unit, msgspec.structs.replace(known, parameters=known.parameters | given))
    return {}


@endpoint("POST logged-models/search")
def search(caller: Caller, request: Search) -> Answer:
    """The logged models of some experiments that meet a filter, newest first unless another order is named."""
    size = paging.check_size(request.max_results, _MOST)
    orders = [f"{order.field_name} {'ASC' if order.ascending else 'DESC'}" for order in request.order_by]
    with caller.unit("tracking:read", write=False) as unit:
        wanted = set(request.experiment_ids)
        found = {it.id: it for it in tracking.known(unit) if experiments.id_of(it.experiment) in wanted}
        rows = filters.selected(
            [_facts(it) for it in found.values()], request.filter, orders, "creation_timestamp DESC"
        )
        page, token = paging.page(rows, request.page_token, size)
        models: list[Json] = [_shown(unit, found[str(facts["model_id"])]) for facts in page]
    return {"models": models} | ({"next_page_token": token} if token else {})


@endpoint("POST runs/log-inputs")
def log_inputs(caller: Caller, request: Inputs) -> Answer:
    """Note the datasets and logged models that a run used."""
    if len(request.datasets) + len(request.models) > _MOST:
        raise InvalidInput(f"A run takes at most {_MOST} inputs at once.", hint="Split them into several requests.")
    with caller.unit("tracking:write") as unit:
        used = [inputs.keep(unit, given) for given in request.datasets]
        used += [unit.urn("logged_model", existing(unit, model.model_id).id) for model in request.models]
        written.log(unit, runs.id_of(request), inputs=tuple(used))
    return {}


@endpoint("POST runs/outputs")
def log_outputs(caller: Caller, request: Outputs) -> Answer:
    """Say which models came out of a run: those that were logged from it, as each of them says itself."""
    with caller.unit("tracking:write") as unit:
        run = runs.row_of(unit, runs.id_of(request)).id
        for model in request.models:
            if existing(unit, model.model_id).run != run:
                raise InvalidInput(f"Logged model {model.model_id[:80]} did not come out of run {run}.")
    return {}


def existing(session: Session, id: str) -> LoggedModel:
    """A logged model that was not deleted.

    Raises:
        NotFound: there is none.
    """
    found = tracking.get(session, id)
    if found.deleted is not None:
        raise NotFound(f"Logged model {id} was deleted.")
    return found


def _facts(model: LoggedModel) -> filters.Facts:
    facts: dict[str, str | int | None] = {f"tags.{key}": value for key, value in model.tags.items()}
    facts |= {f"params.{key}": value for key, value in model.parameters.items()}
    facts |= {"model_id": model.id, "name": model.name, "model_type": model.kind, "status": _WORDS[model.status]}
    facts |= {"source_run_id": model.run, "experiment_id": experiments.id_of(model.experiment)}
    facts |= {"creation_timestamp": micros(model.created) // 1000, "creation_time": micros(model.created) // 1000}
    return facts | {"last_updated_timestamp": micros(model.updated) // 1000}


def _shown(session: Session, model: LoggedModel) -> Answer:
    group = groups.first(session, model.experiment)
    assert group is not None  # A logged model was made in it, and experiments are only put out of sight.
    info: Answer = {
        "model_id": model.id,
        "experiment_id": experiments.id_of(model.experiment),
        "name": model.name,
        "creation_timestamp_ms": micros(model.created) // 1000,
        "last_updated_timestamp_ms": micros(model.updated) // 1000,
        "artifact_uri": f"{experiments.location_of(group)}/models/{model.id}/artifacts",
        "status": _WORDS[model.status],
        "model_type": model.kind,
        "source_run_id": model.run,
        "tags": pairs(model.tags),
    }
    return {"info": info, "data": {"params": pairs(model.parameters), "metrics": []}}
