"""Registered models and their versions for MLflow's clients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import unquote, urlsplit

import msgspec

from everloop.catalog.session import Session
from everloop.kernel.clock import micros
from everloop.kernel.errors import Conflict, InvalidInput, NotFound
from everloop.kernel.usecase import Json
from everloop.registry import mlmodel, service, tags
from everloop.registry.entities import FILES, Alias, Model, ModelVersion, RegisteredModel, Signature
from everloop.server.mlflow import artifacts, filters, loggedmodels, paging, runs
from everloop.server.mlflow.endpoint import Answer, Caller, KeyValue, endpoint, pairs, texts
from everloop.server.mlflow.experiments import ARTIFACTS, id_of
from everloop.server.mlflow.refusals import AlreadyExists
from everloop.store.entities import TreeEntry

_LONGEST_TAG = 100_000
_NOTE = "mlflow.note.content"
"""The tag that holds the description of a version, which itself never changes."""
_LOCAL = ("", "file")
_MOST_MODELS = 1000
_MOST_VERSIONS = 200_000


class Create(msgspec.Struct, frozen=True):
    """A new name for models."""

    name: str
    description: str = ""
    tags: list[KeyValue] = []


class Named(msgspec.Struct, frozen=True):
    """A registered model."""

    name: str


class Describe(msgspec.Struct, frozen=True):
    """Another description of a model."""

    name: str
    description: str = ""


class Search(msgspec.Struct, frozen=True):
    """Which models or versions are wanted."""

    filter: str = ""
    order_by: list[str] = []
    max_results: int = 100
    page_token: str = ""


class CreateVersion(msgspec.Struct, frozen=True):
    """A new version, of the files at a URI."""

    name: str
    source: str
    run_id: str = ""
    description: str = ""
    tags: list[KeyValue] = []


class OfVersion(msgspec.Struct, frozen=True):
    """A version of a model."""

    name: str
    version: int


class DescribeVersion(OfVersion, frozen=True):
    """Another description of a version."""

    description: str = ""


class Tag(msgspec.Struct, frozen=True):
    """A tag of a model, or of one of its versions."""

    name: str
    key: str
    version: int = 0
    value: str = ""


class AliasOf(msgspec.Struct, frozen=True):
    """An alias, and the version that it is to name."""

    name: str
    alias: str
    version: int = 0


@endpoint("POST registered-models/create")
def create(caller: Caller, request: Create) -> Answer:
    """Make a name that versions are registered under."""
    try:
        caller.platform.usecase("models.create").bind({"name": request.name, "description": request.description})
        with caller.unit("models:write") as unit:
            service.create(unit, request.name, request.description)
            tags.assign(unit, request.name, 0, texts(request.tags, _LONGEST_TAG))
            return {"registered_model": _model(unit, request.name)}
    except Conflict:
        raise AlreadyExists(f"Registered Model (name={request.name}) already exists.") from None


@endpoint("GET registered-models/get")
def get(caller: Caller, request: Named) -> Answer:
    """A registered model."""
    with caller.unit("models:read", write=False) as unit:
        return {"registered_model": _model(unit, request.name)}


@endpoint("PATCH registered-models/update")
def update(caller: Caller, request: Describe) -> Answer:
    """Give a model another description."""
    with caller.unit("models:write") as unit:
        service.get(unit, request.name)
        tags.describe(unit, request.name, request.description)
        return {"registered_model": _model(unit, request.name)}


@endpoint("DELETE registered-models/delete")
def delete(caller: Caller, request: Named) -> Answer:
    """Delete a name that never had a version."""
    caller.call("models.delete", name=request.name)
    return {}


@endpoint("GET registered-models/search")
def search(caller: Caller, request: Search) -> Answer:
    """The models that meet a filter, by name unless another order is named."""
    size = paging.check_size(request.max_results, _MOST_MODELS)
    with caller.unit("models:read", write=False) as unit:
        noted = tags.known(unit)
        rows = [_model_facts(known, noted.get((known.name, 0), {})) for known in service.list_models(unit)]
        page, token = _page(rows, request, size, "name ASC")
        models: list[Json] = [_model(unit, str(facts["name"])) for facts in page]
    return {"registered_models": models} | token


@endpoint("POST registered-models/get-latest-versions", "GET registered-models/get-latest-versions")
def latest_versions(caller: Caller, request: Named) -> Answer:
    """The newest version; there are no stages, of each of which MLflow would give one."""
    with caller.unit("models:read", write=False) as unit:
        known = service.get(unit, request.name)
        return {"model_versions": _newest(unit, known)}


@endpoint("POST model-versions/create")
def create_version(caller: Caller, request: CreateVersion) -> Answer:
    """Register a version: artifacts of a run, files of another version, or a URI that we only point to."""
    with caller.unit("models:write") as unit:
        service.get(unit, request.name)
        entries, made_by = _files_of(unit, request.source)
        run = runs.row_of(unit, request.run_id).id if request.run_id else made_by
        trained = Model(FILES, unit.store.put_tree(entries), _signature_of(unit, entries))
        now = unit.clock.now()
        proposed = ModelVersion(request.name, 0, trained, run, "", now, request.description, request.source)
        made = service.add(unit, proposed)
        tags.assign(unit, made.model, made.version, texts(request.tags, _LONGEST_TAG))
        return {"model_version": _version(unit, made)}


@endpoint("GET model-versions/get")
def get_version(caller: Caller, request: OfVersion) -> Answer:
    """A version."""
    with caller.unit("models:read", write=False) as unit:
        return {"model_version": _version(unit, _existing(unit, request))}


@endpoint("PATCH model-versions/update")
def update_version(caller: Caller, request: DescribeVersion) -> Answer:
    """Give a version another description."""
    with caller.unit("models:write") as unit:
        known = _existing(unit, request)
        tags.assign(unit, known.model, known.version, {_NOTE: request.description})
        return {"model_version": _version(unit, known)}


@endpoint("DELETE model-versions/delete")
def delete_version(caller: Caller, request: OfVersion) -> Answer:
    """Delete a version that nothing points to."""
    caller.call("models.delete_version", name=request.name, version=request.version, reason="MLflow's client asked")
    return {}


@endpoint("GET model-versions/get-download-uri")
def download_uri(caller: Caller, request: OfVersion) -> Answer:
    """Where the files of a version are."""
    with caller.unit("models:read", write=False) as unit:
        known = _existing(unit, request)
    here = f"{ARTIFACTS}/{artifacts.MODELS}/{known.model}/{known.version}"
    elsewhere = known.source and urlsplit(known.source).scheme not in ("mlflow-artifacts", "runs", "models")
    return {"artifact_uri": known.source if elsewhere else here}


@endpoint("GET model-versions/search")
def search_versions(caller: Caller, request: Search) -> Answer:
    """The versions that meet a filter, newest first unless another order is named."""
    size = paging.check_size(request.max_results, _MOST_VERSIONS)
    with caller.unit("models:read", write=False) as unit:
        noted = tags.known(unit)
        found = [known for model in service.list_models(unit) for known in service.versions(unit, model.name)]
        rows = [_version_facts(known, noted.get((known.model, known.version), {})) for known in found]
        page, token = _page(rows, request, size, "last_updated_timestamp DESC, name ASC, version_number DESC")
        by_id = {(known.model, known.version): known for known in found}
        versions: list[Json] = [_version(unit, by_id[str(it["name"]), int(it["version_number"] or 0)]) for it in page]
    return {"model_versions": versions} | token


@endpoint("POST registered-models/set-tag", "POST model-versions/set-tag")
def set_tag(caller: Caller, request: Tag) -> Answer:
    """Set a tag of a model or of a version."""
    with caller.unit("models:write") as unit:
        service.version(unit, request.name, request.version) if request.version else service.get(unit, request.name)
        tags.assign(unit, request.name, request.version, {request.key: request.value[:_LONGEST_TAG]})
    return {}


@endpoint("DELETE registered-models/delete-tag", "DELETE model-versions/delete-tag")
def delete_tag(caller: Caller, request: Tag) -> Answer:
    """Take a tag of a model or of a version away."""
    with caller.unit("models:write") as unit:
        tags.remove(unit, request.name, request.version, request.key)
    return {}


@endpoint("POST registered-models/alias")
def set_alias(caller: Caller, request: AliasOf) -> Answer:
    """Let an alias name a version."""
    caller.call("models.set_alias", name=request.name, alias=request.alias, version=request.version)
    return {}


@endpoint("DELETE registered-models/alias")
def delete_alias(caller: Caller, request: AliasOf) -> Answer:
    """Delete an alias; one that is not there is no error."""
    caller.call("models.get", name=request.name)
    known: Sequence[Alias] = caller.call("models.aliases", name=request.name)
    if any(alias.alias == request.alias for alias in known):
        caller.call("models.delete_alias", name=request.name, alias=request.alias)
    return {}


@endpoint("GET registered-models/alias")
def get_by_alias(caller: Caller, request: AliasOf) -> Answer:
    """The version that an alias names."""
    with caller.unit("models:read", write=False) as unit:
        known = next((it for it in service.aliases(unit, request.name) if it.alias == request.alias), None)
        if known is None:  # MLflow has this code for it, not RESOURCE_DOES_NOT_EXIST.
            raise InvalidInput(f"Registered model alias {request.alias[:80]} not found.")
        return {"model_version": _version(unit, service.version(unit, request.name, known.version))}


def _logged(source: str) -> str:
    """The logged model that a source is the whole of, if any: `models:/m-…`, or the root of its artifacts."""
    scheme, path = urlsplit(source).scheme, urlsplit(source).path.strip("/")
    if scheme == "models":
        return path if path.startswith("m-") and "/" not in path else ""
    parts = path.split("/")
    return parts[2] if source.startswith(ARTIFACTS) and len(parts) == 4 and parts[1] == artifacts.MODELS else ""


def _existing(session: Session, request: OfVersion) -> ModelVersion:
    if request.version < 1:
        raise NotFound(f"Model Version (name={request.name[:128]}, version={request.version}) not found")
    return service.version(session, request.name, request.version)


def _files_of(session: Session, source: str) -> tuple[Sequence[TreeEntry], str]:
    """The files at a URI, by paths from there, and the run that they are of, if any."""
    parts = urlsplit(source)
    path = unquote(parts.path).strip("/")
    if parts.scheme in _LOCAL or not (path or parts.netloc):
        raise InvalidInput(
            f"Invalid model version source: '{source[:200]}'.",
            hint="Log the model as an artifact of a run, and register runs:/<run>/<path>.",
        )
    if parts.scheme == "runs":
        run, _, path = path.partition("/")
        place = artifacts.Place(path, run=run, experiment=_experiment_of(session, run))
    elif _logged(source):
        known = loggedmodels.existing(session, _logged(source))
        place = artifacts.Place("", logged=known.id, experiment=id_of(known.experiment))
    elif parts.scheme == "models":
        place = artifacts.place_of(f"{artifacts.MODELS}/{path}")
    elif parts.scheme == "mlflow-artifacts":
        place = artifacts.place_of(path)
    else:
        return (), ""
    made_by = loggedmodels.existing(session, place.logged).run if place.logged else place.run
    return _below(artifacts.files_at(session, place), place.path, source), made_by


def _signature_of(session: Session, entries: Sequence[TreeEntry]) -> Signature:
    """What the model's own description says that it takes; nothing, where it says nothing that we have types for."""
    described = next((entry for entry in entries if entry.path == mlmodel.NAME), None)
    try:
        return mlmodel.read(session.store.get(described.digest)).signature if described else Signature((), ())
    except InvalidInput:  # Such a version can be kept and fetched; asked to serve it, its flavor says what is wrong.
        return Signature((), ())


def _experiment_of(session: Session, run: str) -> str:
    return id_of(runs.row_of(session, run).experiment)


def _below(files: Sequence[TreeEntry], folder: str, source: str) -> Sequence[TreeEntry]:
    inside = f"{folder}/" if folder else ""
    found = [TreeEntry(it.path.removeprefix(inside), it.digest, it.size) for it in files if it.path.startswith(inside)]
    found = found or [TreeEntry(it.path.rpartition("/")[2], it.digest, it.size) for it in files if it.path == folder]
    if not found:
        raise InvalidInput(f"There are no artifacts at '{source[:200]}'.", hint="Log the model first.")
    return found


def _page(
    rows: Sequence[filters.Facts], request: Search, size: int, default: str
) -> tuple[Sequence[filters.Facts], Answer]:
    selected = filters.selected(rows, request.filter, request.order_by, default)
    page, token = paging.page(selected, request.page_token, size)
    return page, {"next_page_token": token} if token else {}


def _model_facts(known: RegisteredModel, noted: Mapping[str, str]) -> filters.Facts:
    created = micros(known.created) // 1000
    facts: dict[str, str | int | None] = {f"tags.{key}": value for key, value in noted.items()}
    return facts | {"name": known.name, "creation_timestamp": created, "last_updated_timestamp": created}


def _version_facts(known: ModelVersion, noted: Mapping[str, str]) -> filters.Facts:
    created = micros(known.created) // 1000
    facts: dict[str, str | int | None] = {f"tags.{key}": value for key, value in noted.items()}
    facts |= {"name": known.model, "version_number": known.version, "version": known.version}
    facts |= {"run_id": known.run, "source": known.source, "source_path": known.source}
    return facts | {"creation_timestamp": created, "last_updated_timestamp": created}


def _model(session: Session, name: str) -> Answer:
    known = service.get(session, name)
    created = micros(known.created) // 1000
    return {
        "name": known.name,
        "description": known.description,
        "creation_timestamp": created,
        "last_updated_timestamp": created,
        "latest_versions": _newest(session, known),
        "tags": pairs(tags.known(session, name).get((name, 0), {})),
        "aliases": [{"alias": it.alias, "version": str(it.version)} for it in service.aliases(session, name)],
    }


def _newest(session: Session, known: RegisteredModel) -> list[Json]:
    return [_version(session, found) for found in service.versions(session, known.name)[:1]]


def _version(session: Session, known: ModelVersion) -> Answer:
    noted = tags.known(session, known.model).get((known.model, known.version), {})
    created = micros(known.created) // 1000
    return {
        "name": known.model,
        "version": str(known.version),
        "creation_timestamp": created,
        "last_updated_timestamp": created,
        "current_stage": "None",
        "description": noted.get(_NOTE, known.note),
        "source": known.source or f"{ARTIFACTS}/{artifacts.MODELS}/{known.model}/{known.version}",
        "run_id": known.run,
        "model_id": _logged(known.source),
        "status": "READY",
        "tags": pairs({key: value for key, value in noted.items() if key != _NOTE}),
        "aliases": [it.alias for it in service.aliases(session, known.model) if it.version == known.version],
    }
