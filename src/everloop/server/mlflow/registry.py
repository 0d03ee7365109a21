"""Registered models and their aliases for MLflow's clients.

A model's name may be any text for them: ours is made of it, and theirs is the title.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import msgspec

from everloop.catalog.session import Session
from everloop.kernel.clock import micros
from everloop.kernel.errors import Conflict, InvalidInput, NotFound
from everloop.kernel.usecase import Json
from everloop.registry import rows, service, stages, tags
from everloop.registry.entities import Alias, ModelVersion, RegisteredModel
from everloop.registry.notes import service as notes
from everloop.registry.search import queries
from everloop.registry.search.entities import Wanted
from everloop.server.mlflow import artifacts
from everloop.server.mlflow.endpoint import Answer, Caller, KeyValue, endpoint, pairs
from everloop.server.mlflow.experiments import ARTIFACTS
from everloop.server.mlflow.refusals import AlreadyExists

NOTE = "mlflow.note.content"
"""The tag that held the description of a version in earlier releases."""
_MOST_MODELS = 1000
_ALIAS = re.compile(r"[\w-]{1,128}", re.ASCII)
_RESERVED = re.compile(r"latest|v\d+", re.IGNORECASE | re.ASCII)


class Create(msgspec.Struct, frozen=True):
    """A new name for models."""

    name: str = ""
    description: str = ""
    tags: list[KeyValue] = []


class Named(msgspec.Struct, frozen=True):
    """A registered model."""

    name: str = ""


class Rename(Named, frozen=True):
    """What a model is to be called."""

    new_name: str = ""


class Describe(Named, frozen=True):
    """Another description of a model."""

    description: str = ""


class Latest(Named, frozen=True):
    """The stages whose newest versions are wanted; all, when none is named."""

    stages: list[str] = []


class Search(msgspec.Struct, frozen=True):
    """Which models or versions are wanted."""

    filter: str = ""
    order_by: list[str] = []
    max_results: int = 100
    page_token: str = ""


class Tag(Named, frozen=True):
    """A tag of a model."""

    key: str = ""
    value: str = ""


class AliasOf(Named, frozen=True):
    """An alias, and the version that it is to name."""

    alias: str = ""
    version: str = ""


class Beside(NamedTuple):
    """What stands beside models and versions, by the name of the model."""

    titles: Mapping[str, str]
    tags: Mapping[tuple[str, int], dict[str, str]]
    aliases: Mapping[str, Sequence[Alias]]


@endpoint("POST registered-models/create")
def create(caller: Caller, request: Create) -> Answer:
    """Make a name that versions are registered under."""
    required("name", request.name)
    given = {tag.key: tag.value for tag in request.tags}
    with caller.unit("models:write") as unit:
        known = rows.called(unit, request.name)
        if known is not None:
            raise _taken(unit, known, is_prompt(given))
        notes.check_title(request.name)
        made = service.make(unit, request.name, request.description, given)
        return {"registered_model": _shown(unit, [made])[0]}


@endpoint("GET registered-models/get")
def get(caller: Caller, request: Named) -> Answer:
    """A registered model."""
    with caller.unit("models:read", write=False) as unit:
        return {"registered_model": _shown(unit, [existing(unit, request.name)])[0]}


@endpoint("PATCH registered-models/update")
def update(caller: Caller, request: Describe) -> Answer:
    """Give a model another description."""
    with caller.unit("models:write") as unit:
        known = existing(unit, request.name)
        notes.describe(unit, known.name, request.description)
        return {"registered_model": _shown(unit, [service.get(unit, known.name)])[0]}


@endpoint("POST registered-models/rename")
def rename(caller: Caller, request: Rename) -> Answer:
    """Call a model something else."""
    required("new_name", request.new_name)
    with caller.unit("models:write") as unit:
        known = existing(unit, request.name)
        try:
            renamed = notes.rename(unit, known.name, request.new_name)
        except Conflict:
            raise AlreadyExists(f"Registered Model (name={request.new_name}) already exists.") from None
        return {"registered_model": _shown(unit, [renamed])[0]}


@endpoint("DELETE registered-models/delete")
def delete(caller: Caller, request: Named) -> Answer:
    """Delete a model with its versions, unless something holds one of them."""
    with caller.unit("models:delete") as unit:
        known = existing(unit, request.name)
        for version in service.versions(unit, known.name):
            service.withdraw(unit, known.name, version.version, "MLflow's client deleted the model")
        service.delete_model(unit, known.name, "MLflow's client asked")
    return {}


@endpoint("GET registered-models/search")
def search(caller: Caller, request: Search) -> Answer:
    """The models that meet a filter, by name unless another order is named."""
    if not 1 <= request.max_results <= _MOST_MODELS:
        raise InvalidInput(
            f"Invalid value for request parameter max_results. It must be from 1 to {_MOST_MODELS}, "
            f"but got value {request.max_results}"
        )
    wanted = Wanted(request.filter, tuple(request.order_by), request.max_results, request.page_token)
    with caller.unit("models:read", write=False) as unit:
        found = queries.found_models(unit, wanted)
        return {"registered_models": _shown(unit, found.models)} | token_of(found.cursor)


@endpoint("POST registered-models/get-latest-versions", "GET registered-models/get-latest-versions")
def latest_versions(caller: Caller, request: Latest) -> Answer:
    """The newest version in each of some stages, or in every stage."""
    wanted = {stages.stage_of(stage) for stage in request.stages}
    with caller.unit("models:read", write=False) as unit:
        known = existing(unit, request.name)
        newest = rows.newest_of(unit, [known.name])[known.name]
        found = [version for version in newest if not wanted or version.stage in wanted]
        return {"model_versions": shown_versions(unit, found)}


@endpoint("POST registered-models/set-tag")
def set_tag(caller: Caller, request: Tag) -> Answer:
    """Set a tag of a model."""
    required("key", request.key)
    with caller.unit("models:write") as unit:
        tags.assign(unit, existing(unit, request.name).name, 0, {request.key: request.value})
    return {}


@endpoint("DELETE registered-models/delete-tag")
def delete_tag(caller: Caller, request: Tag) -> Answer:
    """Take a tag of a model away; one that is not there is no error."""
    required("key", request.key)
    with caller.unit("models:write") as unit:
        drop_tag(unit, existing(unit, request.name).name, 0, request.key)
    return {}


@endpoint("POST registered-models/alias")
def set_alias(caller: Caller, request: AliasOf) -> Answer:
    """Let an alias name a version."""
    number = number_of(request.version)
    if not request.alias:
        raise InvalidInput("Registered model alias name cannot be empty.")
    if _ALIAS.fullmatch(request.alias) is None:
        raise InvalidInput(
            f"Invalid alias name: '{request.alias[:200]}'. Names may only contain alphanumerics, underscores (_), and "
            "dashes (-), and have at most 128 of them."
        )
    if _RESERVED.fullmatch(request.alias):
        raise InvalidInput(f"'{request.alias}' alias name (case insensitive) is reserved.")
    with caller.unit("models:deploy") as unit:
        known = existing_version(unit, request.name, number)
        service.set_alias(unit, known.model, request.alias, known.version)
    return {}


@endpoint("DELETE registered-models/alias")
def delete_alias(caller: Caller, request: AliasOf) -> Answer:
    """Delete an alias; one that is not there is no error."""
    with caller.unit("models:deploy") as unit:
        known = existing(unit, request.name)
        if rows.alias(unit, known.name, request.alias) is not None:
            service.delete_alias(unit, known.name, request.alias)
    return {}


@endpoint("GET registered-models/alias")
def get_by_alias(caller: Caller, request: AliasOf) -> Answer:
    """The version that an alias names; `latest` is always the newest."""
    with caller.unit("models:read", write=False) as unit:
        model = rows.called(unit, request.name)
        newest = service.versions(unit, model.name)[:1] if model and request.alias.lower() == "latest" else []
        if newest:
            return {"model_version": shown_versions(unit, newest)[0]}
        known = rows.alias(unit, model.name, request.alias) if model else None
        if known is None:  # MLflow has this code for it, not RESOURCE_DOES_NOT_EXIST.
            raise InvalidInput(f"Registered model alias {request.alias[:80]} not found.")
        return {"model_version": shown_versions(unit, [service.version(unit, known.model, known.version)])[0]}


def required(parameter: str, value: str) -> None:
    """Refuse what was not given.

    Raises:
        InvalidInput: nothing was given.
    """
    if not value:
        raise InvalidInput(f"Missing value for required parameter '{parameter}'.")


def number_of(text: str) -> int:
    """The number of a version.

    Raises:
        InvalidInput: it is none.
    """
    required("version", text)
    if re.fullmatch(r"[+-]?\d{1,12}", text, re.ASCII) is None:
        raise InvalidInput(f"Parameter 'version' must be an integer, got '{text[:80]}'.")
    return int(text)


def existing(session: Session, title: str) -> RegisteredModel:
    """The model that people call so.

    Raises:
        NotFound: there is none.
    """
    required("name", title)
    found = rows.called(session, title)
    if found is None:
        raise NotFound(f"Registered Model with name={title[:256]} not found")
    return found


def existing_version(session: Session, title: str, number: int) -> ModelVersion:
    """A version of the model that people call so.

    Raises:
        NotFound: there is none.
    """
    required("name", title)
    model = rows.called(session, title)
    found = rows.version(session, model.name, number) if model and 0 < number < 1 << 31 else None
    if found is None:
        raise NotFound(f"Model Version (name={title[:256]}, version={number}) not found")
    return found


def is_prompt(given: Mapping[str, str]) -> bool:
    """Whether something with these tags is one of MLflow's prompts."""
    return given.get(queries.PROMPT, "").lower() == "true"


def drop_tag(session: Session, model: str, version: int, key: str) -> None:
    """Take a tag away, if it is there."""
    if key in tags.of(session, [model], [version]).get((model, version), {}):
        tags.remove(session, model, version, key)


def token_of(cursor: str) -> Answer:
    """The part of an answer that says how its list goes on."""
    return {"next_page_token": cursor} if cursor else {}


def shown_versions(session: Session, found: Sequence[ModelVersion]) -> list[Json]:
    """Versions as they travel."""
    names = {version.model for version in found}
    beside = _beside(session, names, {version.version for version in found})
    return [_version(version, beside) for version in found]


def _shown(session: Session, found: Sequence[RegisteredModel]) -> list[Json]:
    names = [model.name for model in found]
    newest = rows.newest_of(session, names)
    numbers = {version.version for versions in newest.values() for version in versions}
    beside = _beside(session, names, numbers | {0})
    return [_model(model, newest[model.name], beside) for model in found]


def _beside(session: Session, names: Collection[str], numbers: Collection[int]) -> Beside:
    titles = {name: model.called for name in names if (model := rows.model(session, name))}
    return Beside(titles, tags.of(session, names, numbers), rows.aliases_of(session, names))


def _model(model: RegisteredModel, newest: Sequence[ModelVersion], beside: Beside) -> Answer:
    created = micros(model.created) // 1000
    return {
        "name": model.called,
        "description": model.description,
        "creation_timestamp": created,
        "last_updated_timestamp": micros(model.updated or model.created) // 1000,
        "latest_versions": [_version(version, beside) for version in newest],
        "tags": pairs(beside.tags.get((model.name, 0), {})),
        "aliases": [{"alias": it.alias, "version": str(it.version)} for it in beside.aliases[model.name]],
    }


def _version(known: ModelVersion, beside: Beside) -> Answer:
    noted = beside.tags.get((known.model, known.version), {})
    aliases: list[Json] = [it.alias for it in beside.aliases[known.model] if it.version == known.version]
    return {
        "name": beside.titles[known.model],
        "version": str(known.version),
        "creation_timestamp": micros(known.created) // 1000,
        "last_updated_timestamp": micros(known.updated or known.created) // 1000,
        "current_stage": known.stage,
        "description": noted.get(NOTE, known.note),
        "source": known.source or f"{ARTIFACTS}/{artifacts.MODELS}/{known.model}/{known.version}",
        "run_id": known.run,
        "run_link": known.link,
        "model_id": known.logged,
        "user_id": known.author,
        "status": "READY",
        "tags": pairs({key: value for key, value in noted.items() if key != NOTE}),
        "aliases": aliases,
    }


def _taken(session: Session, known: RegisteredModel, prompt: bool) -> AlreadyExists:
    was_prompt = is_prompt(tags.of(session, [known.name], [0]).get((known.name, 0), {}))
    if was_prompt == prompt:
        return AlreadyExists(f"{'Prompt' if prompt else 'Registered Model'} (name={known.called}) already exists.")
    wanted, there = ("prompt", "registered model") if prompt else ("registered model", "prompt")
    return AlreadyExists(
        f"Tried to create a {wanted} with name {known.called!r}, but the name is already taken by a {there}."
    )
