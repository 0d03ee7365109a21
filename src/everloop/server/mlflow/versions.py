"""Versions of registered models for MLflow's clients."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from posixpath import normpath
from urllib.parse import unquote, unquote_plus, urlsplit

import msgspec

from everloop.catalog.session import Session
from everloop.kernel.errors import InvalidInput, NotFound
from everloop.registry import mlmodel, service, tags
from everloop.registry.entities import FILES, Model, ModelVersion, Signature
from everloop.registry.notes import service as notes
from everloop.registry.search import queries
from everloop.registry.search.entities import Wanted
from everloop.server.mlflow import artifacts, loggedmodels
from everloop.server.mlflow.endpoint import Answer, Caller, KeyValue, endpoint
from everloop.server.mlflow.experiments import ARTIFACTS, below, id_of
from everloop.server.mlflow.registry import (
    NOTE,
    Search,
    drop_tag,
    existing,
    existing_version,
    is_prompt,
    number_of,
    required,
    shown_versions,
    token_of,
)
from everloop.store.entities import TreeEntry
from everloop.tracking import service as tracking
from everloop.tracking.entities import Run

_LOCAL = ("", "file")
_PROMPT_TEXT = "mlflow.prompt.text"
_LONGEST_PROMPT = 100_000
_MOST_VERSIONS = 200_000
_LONGEST_SOURCE = 2_000


class Create(msgspec.Struct, frozen=True):
    """A new version, of the files at a URI."""

    name: str = ""
    source: str = ""
    run_id: str = ""
    run_link: str = ""
    model_id: str = ""
    description: str = ""
    tags: list[KeyValue] = []


class OfVersion(msgspec.Struct, frozen=True):
    """A version of a model."""

    name: str = ""
    version: str = ""


class Describe(OfVersion, frozen=True):
    """Another description of a version."""

    description: str | None = None


class Transition(OfVersion, frozen=True):
    """The stage that a version is to be in."""

    stage: str = ""
    archive_existing_versions: bool = False


class Tag(OfVersion, frozen=True):
    """A tag of a version."""

    key: str = ""
    value: str = ""


@endpoint("POST model-versions/create")
def create(caller: Caller, request: Create) -> Answer:
    """Register a version: artifacts of a run, files of another version, or a URI that we only point to."""
    required("name", request.name)
    required("source", request.source)
    _check_uri(request.source)
    noted = {tag.key: tag.value for tag in request.tags}
    _check_prompt(noted.get(_PROMPT_TEXT, ""))
    with caller.unit("models:write") as unit:
        model = existing(unit, request.name)
        logged = request.model_id[:40] or _logged(request.source)
        run = _run_of(unit, request, logged)
        if not is_prompt(noted):
            _check_source(unit, request, _run(unit, run))
            if request.model_id:
                loggedmodels.existing(unit, request.model_id)
        files = _files_of(unit, request.source)
        signature, schema = _signature_of(unit, files)
        trained = Model(FILES, unit.store.put_tree(files), signature, metrics=_metrics(_run(unit, run)))
        proposed = ModelVersion(model.name, 0, trained, run, "", unit.clock.now(), request.description, request.source)
        proposed = msgspec.structs.replace(proposed, link=request.run_link, logged=logged)
        made = service.add(unit, proposed, noted, schema)
        if request.model_id and not is_prompt(noted):
            loggedmodels.note_version(unit, request.model_id, request.name, made.version)
        return {"model_version": shown_versions(unit, [made])[0]}


@endpoint("GET model-versions/get")
def get(caller: Caller, request: OfVersion) -> Answer:
    """A version."""
    with caller.unit("models:read", write=False) as unit:
        return {"model_version": shown_versions(unit, [_existing(unit, request)])[0]}


@endpoint("PATCH model-versions/update")
def update(caller: Caller, request: Describe) -> Answer:
    """Give a version another description."""
    with caller.unit("models:write") as unit:
        known = _existing(unit, request)
        if request.description is not None:
            notes.describe(unit, known.model, request.description, known.version)
            drop_tag(unit, known.model, known.version, NOTE)
        return {"model_version": shown_versions(unit, [_existing(unit, request)])[0]}


@endpoint("POST model-versions/transition-stage")
def transition(caller: Caller, request: Transition) -> Answer:
    """Put a version into a stage; the alias that stands for the stage goes along."""
    required("stage", request.stage)
    with caller.unit("models:deploy") as unit:
        known = _existing(unit, request)
        archive = request.archive_existing_versions
        moved = service.transition(unit, known.model, known.version, request.stage, archive)
        return {"model_version": shown_versions(unit, [moved])[0]}


@endpoint("DELETE model-versions/delete")
def delete(caller: Caller, request: OfVersion) -> Answer:
    """Delete a version, and the aliases that name it; refused where something holds it."""
    with caller.unit("models:delete") as unit:
        known = _existing(unit, request)
        service.withdraw(unit, known.model, known.version, "MLflow's client asked")
    return {}


@endpoint("GET model-versions/get-download-uri")
def download_uri(caller: Caller, request: OfVersion) -> Answer:
    """Where the files of a version are: with us, or where its source or that of what it is a copy of says."""
    with caller.unit("models:read", write=False) as unit:
        return {"artifact_uri": _place_of(unit, _existing(unit, request))}


@endpoint("GET model-versions/search")
def search(caller: Caller, request: Search) -> Answer:
    """The versions that meet a filter, those that changed last first unless another order is named."""
    if not 1 <= request.max_results <= _MOST_VERSIONS:
        raise InvalidInput(
            f"Invalid value for max_results. It must be from 1 to {_MOST_VERSIONS}, but got {request.max_results}"
        )
    wanted = Wanted(request.filter, tuple(request.order_by), request.max_results, request.page_token)
    with caller.unit("models:read", write=False) as unit:
        found = queries.found_versions(unit, wanted)
        return {"model_versions": shown_versions(unit, found.versions)} | token_of(found.cursor)


@endpoint("POST model-versions/set-tag")
def set_tag(caller: Caller, request: Tag) -> Answer:
    """Set a tag of a version."""
    required("key", request.key)
    with caller.unit("models:write") as unit:
        known = _existing(unit, request)
        tags.assign(unit, known.model, known.version, {request.key: request.value})
    return {}


@endpoint("DELETE model-versions/delete-tag")
def delete_tag(caller: Caller, request: Tag) -> Answer:
    """Take a tag of a version away; one that is not there is no error."""
    required("key", request.key)
    with caller.unit("models:write") as unit:
        known = _existing(unit, request)
        drop_tag(unit, known.model, known.version, request.key)
    return {}


def _check_prompt(text: str) -> None:
    if len(text) > _LONGEST_PROMPT:
        raise InvalidInput(f"Prompt text exceeds max length of {_LONGEST_PROMPT} characters.")


def _existing(session: Session, request: OfVersion) -> ModelVersion:
    required("name", request.name)
    return existing_version(session, request.name, number_of(request.version))


def _logged(source: str) -> str:
    """The logged model that a source is the whole of, if any: `models:/m-…`, or the root of its artifacts."""
    scheme, path = urlsplit(source).scheme, urlsplit(source).path.strip("/")
    if scheme == "models":
        return path if path.startswith("m-") and "/" not in path else ""
    parts = path.split("/")
    return parts[2] if source.startswith(ARTIFACTS) and len(parts) == 4 and parts[1] == artifacts.MODELS else ""


def _run_of(session: Session, request: Create, logged: str) -> str:
    """The run that a version is of: the named one, or that of its source. Clients may name runs of elsewhere."""
    if request.run_id:
        return request.run_id[:128]
    try:
        if logged:
            return loggedmodels.existing(session, logged).run
        parts = urlsplit(request.source)
        path = unquote(parts.path).strip("/")
        if parts.scheme == "runs":
            return tracking.get(session, path.partition("/")[0]).id
        ours = parts.scheme == "mlflow-artifacts" and not parts.netloc
        return artifacts.place_of(path).run if ours else ""
    except (NotFound, InvalidInput):
        return ""


def _run(session: Session, id: str) -> Run | None:
    try:
        return tracking.get(session, id) if id else None
    except (NotFound, InvalidInput):
        return None


def _metrics(run: Run | None) -> dict[str, float]:
    """What the version was judged by, as far as its run knows: runs can be deleted, versions keep their copy."""
    found = run.metrics.items() if run else ()
    return {key: value for key, value in found if value is not None and math.isfinite(value)}


def _check_uri(source: str) -> None:
    try:
        urlsplit(source)
    except ValueError:
        raise InvalidInput(f"Invalid model version source: '{source[:200]}'.") from None


def _check_source(session: Session, request: Create, run: Run | None) -> None:
    """Refuse a source that leads where its writer has no business.

    Raises:
        InvalidInput: it is a folder of the server's, or goes up from where it begins.
    """
    source = request.source
    if urlsplit(source).scheme in _LOCAL:
        if not any(_inside(source, root) for root in _roots(session, request.model_id, run)):
            which = "model_id" if request.model_id else "run_id"
            raise InvalidInput(
                f"Invalid model version source: '{source[:200]}'. To use a local path as a model version source, the "
                f"{which} request parameter has to be specified and the local path has to be contained within the "
                f"artifact directory of the run specified by the {which}."
            )
        return
    while (plain := unquote_plus(source)) != source:
        source = plain
    if len(source) > _LONGEST_SOURCE or not source.isprintable() or ".." in source.replace("\\", "/").split("/"):
        raise InvalidInput(
            f"Invalid model version source: '{request.source[:200]}'. If supplying a source as an http, https, local "
            "file path, ftp, objectstore, or mlflow-artifacts uri, an absolute path must be provided without relative "
            "path references present. Please provide an absolute path."
        )


def _roots(session: Session, model: str, run: Run | None) -> Iterator[str]:
    """Where clients keep the artifacts of a run, and of a logged model."""
    if run is not None:
        yield below(tracking.get_experiment(session, run.experiment), f"{run.id}/artifacts")
    if model:
        known = loggedmodels.existing(session, model)
        yield below(tracking.get_experiment(session, known.experiment), f"models/{known.id}/artifacts")


def _inside(source: str, root: str) -> bool:
    """Whether a local path is below another one, wherever its dots lead."""
    parts, wanted = urlsplit(root), urlsplit(source)
    if parts.scheme not in _LOCAL or not parts.path or wanted.netloc:
        return False
    folder, path = (PurePosixPath(normpath(unquote(uri.path))) for uri in (parts, wanted))
    return folder in (path, *path.parents)


def _files_of(session: Session, source: str) -> Sequence[TreeEntry]:
    """The files at a URI, by paths from there; none where we know of none, so that the version only points there."""
    parts = urlsplit(source)
    path = unquote(parts.path).strip("/")
    try:
        if parts.scheme == "runs":
            run, _, path = path.partition("/")
            place = artifacts.Place(path, run=run, experiment=id_of(tracking.get(session, run).experiment))
        elif _logged(source):
            known = loggedmodels.existing(session, _logged(source))
            place = artifacts.Place("", logged=known.id, experiment=id_of(known.experiment))
        elif parts.scheme == "models":
            model, _, number = path.rpartition("/")
            return session.store.tree(existing_version(session, model, number_of(number)).trained.digest)
        elif parts.scheme == "mlflow-artifacts" and not parts.netloc:
            place = artifacts.place_of(path)
        else:
            return ()
        return _below(artifacts.files_at(session, place), place.path)
    except (NotFound, InvalidInput):
        return ()


def _place_of(session: Session, known: ModelVersion) -> str:
    here = f"{ARTIFACTS}/{artifacts.MODELS}/{known.model}/{known.version}"
    parts = urlsplit(known.source)
    if not known.source or session.store.tree(known.trained.digest):
        return here
    if parts.scheme != "models":
        return known.source
    model, _, number = unquote(parts.path).strip("/").rpartition("/")
    try:
        original = existing_version(session, model, number_of(number))
    except (NotFound, InvalidInput):
        return known.source
    copied = (original.model, original.version) != (known.model, known.version)
    return _place_of(session, original) if copied else known.source


def _signature_of(session: Session, entries: Sequence[TreeEntry]) -> tuple[Signature, str]:
    """What the model's own description says that it takes; where we have no types for that, its words instead."""
    described = next((entry for entry in entries if entry.path == mlmodel.NAME), None)
    if described is None:
        return Signature((), ()), ""
    try:
        found = mlmodel.read(session.store.get(described.digest))
        try:
            return found.signature, ""
        except (
            InvalidInput
        ):  # Such a version can be kept and fetched; asked to serve it, its flavor says what is wrong.
            return Signature((), ()), found.told
    except InvalidInput:
        return Signature((), ()), ""


def _below(files: Sequence[TreeEntry], folder: str) -> Sequence[TreeEntry]:
    inside = f"{folder}/" if folder else ""
    found = [TreeEntry(it.path.removeprefix(inside), it.digest, it.size) for it in files if it.path.startswith(inside)]
    return found or [TreeEntry(it.path.rpartition("/")[2], it.digest, it.size) for it in files if it.path == folder]
