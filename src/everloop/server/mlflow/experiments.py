"""Experiments for MLflow's clients.

An experiment's id is a hash of its name, which never changes; `Default`, with the id 0, is there before it is made.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit, urlunsplit

import msgspec

from everloop.catalog.session import Session
from everloop.kernel.clock import micros
from everloop.kernel.errors import Conflict, InvalidInput, NotFound, Refused
from everloop.kernel.ids import NAME_PATTERN
from everloop.server.mlflow import filters, limits, paging
from everloop.server.mlflow.endpoint import Answer, Caller, KeyValue, endpoint, pairs
from everloop.server.mlflow.refusals import AlreadyExists
from everloop.store.service import digest_of
from everloop.tracking import experiments as tracking
from everloop.tracking.entities import Experiment
from everloop.tracking.words import check_text

DEFAULT = "Default"
ARTIFACTS = "mlflow-artifacts:"
"""The scheme of what is uploaded to us."""
View = Literal["ACTIVE_ONLY", "DELETED_ONLY", "ALL"]
_NEVER = datetime(1970, 1, 1, tzinfo=UTC)
_NAMES: dict[str, str] = {}
"""Names of experiments by their ids, as far as they were looked for: a hash cannot be turned back."""
_LONGEST_TITLE = 500
_LONGEST_TAG = 20_000
_LONGEST_LOCATION = 2048
_MOST = 50_000
_SEARCHED = filters.Searched(
    ("name", "experiment_id"), ("creation_time", "last_update_time"), "creation_time DESC, experiment_id ASC"
)


class Root(msgspec.Struct, frozen=True):
    """Where the artifacts of new experiments go, as a URI; empty for the store."""

    uri: str = ""


class Create(msgspec.Struct, frozen=True):
    """A new experiment."""

    name: str
    artifact_location: str = ""
    tags: list[KeyValue] = []


class ById(msgspec.Struct, frozen=True):
    """An experiment, by its id."""

    experiment_id: str = ""


class ByName(msgspec.Struct, frozen=True):
    """An experiment, by what people call it."""

    experiment_name: str = ""


class Update(msgspec.Struct, frozen=True):
    """Another name for an experiment."""

    experiment_id: str
    new_name: str = ""


class SetTag(msgspec.Struct, frozen=True):
    """A tag for an experiment."""

    experiment_id: str
    key: str
    value: str = ""


class DeleteTag(msgspec.Struct, frozen=True):
    """A tag that an experiment loses."""

    experiment_id: str
    key: str


class Search(msgspec.Struct, frozen=True):
    """Which experiments are wanted."""

    view_type: View = "ACTIVE_ONLY"
    filter: str = ""
    order_by: list[str] = []
    max_results: int = 1000
    page_token: str = ""


@lru_cache(maxsize=4_096)  # A page of runs asks for each of them.
def id_of(name: str) -> str:
    """The id of an experiment: 0 for Default, else 56 bits of the hash of its name, as a decimal number."""
    return "0" if name == DEFAULT else str(int(digest_of(name.encode())[:14], 16))


def title_of(experiment: Experiment) -> str:
    """What people call it."""
    return experiment.title or experiment.name


def location_of(experiment: Experiment) -> str:
    """Where the artifacts of its runs go."""
    return experiment.location or f"{ARTIFACTS}/{id_of(experiment.name)}"


def below(experiment: Experiment, path: str) -> str:
    """The URI of a path below where an experiment's artifacts go: its query and fragment stay behind the path."""
    location = location_of(experiment)
    parts = urlsplit(location)
    if not (parts.query or parts.fragment):
        return f"{location.rstrip('/')}/{path}"
    return urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/{path}"))


def everything(session: Session) -> list[Experiment]:
    """Every experiment, the deleted ones and Default too."""
    known = tracking.known(session)
    return known if any(found.name == DEFAULT for found in known) else [_unmade(session), *known]


def named(session: Session, name: str) -> Experiment:
    """The experiment of that name of ours; Default, if it was never needed, as it would be."""
    return tracking.first(session, name) or _unmade(session)


def first(session: Session, id: str) -> Experiment | None:
    """The experiment with an id, if there is one."""
    if id == "0":
        return named(session, DEFAULT)
    known = tracking.first(session, _NAMES[id]) if id in _NAMES else None
    if known is not None:
        return known
    _NAMES.update((id_of(experiment.name), experiment.name) for experiment in tracking.known(session))
    return tracking.first(session, _NAMES[id]) if id in _NAMES else None


def existing(session: Session, id: str) -> Experiment:
    """The experiment with an id.

    Raises:
        NotFound: there is none.
        InvalidInput: an id is another thing.
    """
    if re.fullmatch(r"-?[0-9]+", id) is None:
        raise InvalidInput(f"Invalid experiment ID '{id[:80]}'. Experiment ID must be a valid integer.")
    found = first(session, id)
    if found is None:
        raise NotFound(f"No Experiment with id={id[:80]} exists")
    return found


def made(session: Session, caller: Caller, id: str) -> Experiment:
    """The experiment with an id, which is made now if it is Default and was not needed before."""
    found = existing(session, id)
    if found.created != _NEVER:
        return found
    real = msgspec.structs.replace(found, created=session.clock.now())
    tracking.add(session, real)
    return real


def active(experiment: Experiment) -> Experiment:
    """The experiment, if it was not deleted.

    Raises:
        Conflict: it was.
    """
    if experiment.deleted is not None:
        id = id_of(experiment.name)
        raise Conflict(f"The experiment {id} must be in the 'active' state. Current state is deleted.")
    return experiment


@endpoint("POST experiments/create")
def create(caller: Caller, request: Create) -> Answer:
    """Make an experiment; its name may be any text, of which our own name is made."""
    _check_title(request.name)
    location = _checked_location(request.artifact_location)
    tags = {tag.key: _checked_tag(tag.key, tag.value) for tag in request.tags}
    with caller.unit("tracking:write") as unit:
        _check_free(unit, request.name)
        name = _name_for(unit, request.name)
        title = "" if name == request.name else request.name
        where = location or _default_location(unit, name)
        tracking.add(unit, Experiment(name, "", unit.clock.now(), title, tags, where))
        return {"experiment_id": id_of(name)}


@endpoint("GET experiments/get")
def get(caller: Caller, request: ById) -> Answer:
    """An experiment."""
    limits.required("experiment_id", request.experiment_id)
    with caller.unit("tracking:read", write=False) as unit:
        return {"experiment": _shown(existing(unit, request.experiment_id))}


@endpoint("GET experiments/get-by-name")
def get_by_name(caller: Caller, request: ByName) -> Answer:
    """The experiment that people call so, deleted or not."""
    limits.required("experiment_name", request.experiment_name)
    with caller.unit("tracking:read", write=False) as unit:
        found = tracking.first(unit, request.experiment_name)
        if found is not None and title_of(found) == request.experiment_name:
            return {"experiment": _shown(found)}
        for experiment in everything(unit):
            if title_of(experiment) == request.experiment_name:
                return {"experiment": _shown(experiment)}
    raise NotFound(f"Could not find experiment with name '{request.experiment_name[:200]}'")


@endpoint("GET experiments/search", "POST experiments/search")
def search(caller: Caller, request: Search) -> Answer:
    """The experiments that meet a filter, newest first unless another order is named."""
    size = limits.size_of_page(request.max_results, _MOST)
    with caller.unit("tracking:read", write=False) as unit:
        wanted = [found for found in everything(unit) if _visible(found, request.view_type)]
    rows = filters.selected([_facts(found) for found in wanted], request.filter, request.order_by, _SEARCHED)
    asked = {
        "Filter string in the page token does not match": request.filter,
        "Order by in the page token does not match": request.order_by,
    }
    page, token = paging.page_after([str(row["experiment_id"]) for row in rows], request.page_token, size, asked)
    by_id = {id_of(found.name): found for found in wanted}
    return {"experiments": [_shown(by_id[id]) for id in page]} | ({"next_page_token": token} if token else {})


@endpoint("POST experiments/update")
def update(caller: Caller, request: Update) -> Answer:
    """Rename an experiment."""
    with caller.unit("tracking:write") as unit:
        experiment = made(unit, caller, request.experiment_id)
        if request.new_name and request.new_name != title_of(experiment):
            if experiment.deleted is not None:
                raise Refused("Cannot rename a non-active experiment.", hint="Restore it first.")
            _check_title(request.new_name)
            _check_free(unit, request.new_name)
            title = "" if request.new_name == experiment.name else request.new_name
            tracking.change(unit, msgspec.structs.replace(experiment, title=title))
    return {}


@endpoint("POST experiments/delete")
def delete(caller: Caller, request: ById) -> Answer:
    """Put an experiment out of sight, and its runs with it."""
    with caller.unit("tracking:write") as unit:
        experiment = made(unit, caller, limits.required("experiment_id", request.experiment_id))
        if experiment.deleted is not None:
            raise NotFound(f"No Experiment with id={request.experiment_id} exists")
        tracking.hide(unit, experiment)
    return {}


@endpoint("POST experiments/restore")
def restore(caller: Caller, request: ById) -> Answer:
    """Bring a deleted experiment back, and with it the runs that were not deleted by themselves."""
    with caller.unit("tracking:write") as unit:
        experiment = made(unit, caller, limits.required("experiment_id", request.experiment_id))
        if experiment.deleted is None:
            raise NotFound(f"No Experiment with id={request.experiment_id} exists")
        tracking.restore(unit, experiment)
    return {}


@endpoint("POST experiments/set-experiment-tag")
def set_tag(caller: Caller, request: SetTag) -> Answer:
    """Set a tag."""
    value = _checked_tag(request.key, request.value)
    with caller.unit("tracking:write") as unit:
        experiment = active(made(unit, caller, limits.required("experiment_id", request.experiment_id)))
        tags = experiment.tags | {request.key: value}
        tracking.change(unit, msgspec.structs.replace(experiment, tags=tags))
    return {}


@endpoint("POST experiments/delete-experiment-tag")
def delete_tag(caller: Caller, request: DeleteTag) -> Answer:
    """Take a tag away."""
    with caller.unit("tracking:write") as unit:
        experiment = active(made(unit, caller, limits.required("experiment_id", request.experiment_id)))
        if request.key not in experiment.tags:
            raise NotFound(f"No tag with name: {request.key[:250]} in experiment with id {request.experiment_id}")
        tags = {key: value for key, value in experiment.tags.items() if key != request.key}
        tracking.change(unit, msgspec.structs.replace(experiment, tags=tags))
    return {}


def stage_of(deleted: datetime | None) -> str:
    """MLflow's word for what is out of sight, and for what is not."""
    return "active" if deleted is None else "deleted"


def _visible(experiment: Experiment, view: View) -> bool:
    return view == "ALL" or (experiment.deleted is None) == (view == "ACTIVE_ONLY")


def _unmade(session: Session) -> Experiment:
    """Default as it is before somebody needs it: experiment 0 is there in an empty home."""
    return Experiment(DEFAULT, "", _NEVER, location=_default_location(session, DEFAULT))


def _check_title(title: str) -> None:
    limits.required("name", title)
    if len(title) > _LONGEST_TITLE:
        raise limits.too_long("name", _LONGEST_TITLE)
    limits.check_name("name", title)


def _check_free(session: Session, title: str) -> None:
    taken = next((found for found in everything(session) if title_of(found) == title), None)
    if taken is not None:
        state = " It was deleted: restore it, or choose another name." if taken.deleted else ""
        raise AlreadyExists(f"Experiment(name={title}) already exists.{state}")


def _checked_tag(key: str, value: str) -> str:
    limits.check_key(key, "key", "key")
    check_text(key, value)
    if len(value) > _LONGEST_TAG:
        raise limits.too_long("value", _LONGEST_TAG)
    return value


def _checked_location(given: str) -> str:
    """A place for artifacts that clients can write to: a path is one on their machine, from its root.

    Raises:
        InvalidInput: it cannot be one.
    """
    check_text("artifact_location", given)
    parts = urlsplit(given) if given else urlsplit("")
    if parts.fragment or ";" in parts.path:
        raise InvalidInput("'artifact_location' URL can't include fragments or params.")
    if given.startswith("runs:"):
        raise InvalidInput(f"Artifact location cannot be a runs:/ URI. Given: '{given[:200]}'")
    if len(given) > _LONGEST_LOCATION:
        raise InvalidInput(
            "Invalid artifact path length. The length of the artifact path cannot be greater than "
            f"{_LONGEST_LOCATION} characters."
        )
    return str(Path.cwd() / given) if given and not parts.scheme else given.rstrip("/")


def _name_for(session: Session, title: str) -> str:
    """The title itself if it can be a name, else what is left of it and part of a hash."""
    if re.fullmatch(NAME_PATTERN, title) and tracking.first(session, title) is None:
        return title
    readable = re.sub(r"[^A-Za-z0-9._-]+", "-", title).strip("-._")[:100] or "experiment"
    name = f"{readable}-{digest_of(title.encode())[:8]}"
    return name if tracking.first(session, name) is None else f"{readable}-{session.new_id()[-12:]}"


def _default_location(session: Session, name: str) -> str:
    root = session.ports.get(Root).uri.rstrip("/")
    return f"{root}/{id_of(name)}" if root else ""


def _changed(experiment: Experiment) -> int:
    return micros(experiment.changed or experiment.created) // 1000


def _facts(experiment: Experiment) -> filters.Facts:
    facts: dict[str, str | float | tuple[float, ...] | None] = {
        f"tags.{key}": value for key, value in experiment.tags.items()
    }
    facts |= {"experiment_id": id_of(experiment.name), "name": title_of(experiment)}
    return facts | {"creation_time": micros(experiment.created) // 1000, "last_update_time": _changed(experiment)}


def _shown(experiment: Experiment) -> Answer:
    return {
        "experiment_id": id_of(experiment.name),
        "name": title_of(experiment),
        "artifact_location": location_of(experiment),
        "lifecycle_stage": stage_of(experiment.deleted),
        "creation_time": micros(experiment.created) // 1000,
        "last_update_time": _changed(experiment),
        "tags": pairs(experiment.tags),
    }
