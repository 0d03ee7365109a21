"""Experiments for MLflow's clients.

An experiment's id is a hash of its name, which never changes; `Default`, with the id 0, is there before it is made.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Literal

import msgspec

from everloop.catalog.session import Session
from everloop.kernel.clock import micros
from everloop.kernel.errors import Conflict, InvalidInput, NotFound
from everloop.kernel.ids import NAME_PATTERN
from everloop.server.mlflow import filters, paging
from everloop.server.mlflow.endpoint import Answer, Caller, KeyValue, endpoint, pairs, texts
from everloop.server.mlflow.refusals import AlreadyExists
from everloop.store.service import digest_of
from everloop.tracking import experiments as tracking
from everloop.tracking.entities import Experiment

DEFAULT = "Default"
ARTIFACTS = "mlflow-artifacts:"
"""The scheme of what is uploaded to us."""
View = Literal["ACTIVE_ONLY", "DELETED_ONLY", "ALL"]
_UNMADE = Experiment(DEFAULT, "", datetime(1970, 1, 1, tzinfo=UTC))
_LONGEST_TITLE = 500
_LONGEST_TAG = 20_000
_MOST = 50_000


class Create(msgspec.Struct, frozen=True):
    """A new experiment."""

    name: str
    artifact_location: str = ""
    tags: list[KeyValue] = []


class ById(msgspec.Struct, frozen=True):
    """An experiment, by its id."""

    experiment_id: str


class ByName(msgspec.Struct, frozen=True):
    """An experiment, by what people call it."""

    experiment_name: str


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


def id_of(name: str) -> str:
    """The id of an experiment: 0 for Default, else 56 bits of the hash of its name, as a decimal number."""
    return "0" if name == DEFAULT else str(int(digest_of(name.encode())[:14], 16))


def title_of(experiment: Experiment) -> str:
    """What people call it."""
    return experiment.title or experiment.name


def location_of(experiment: Experiment) -> str:
    """Where the artifacts of its runs go."""
    return experiment.location or f"{ARTIFACTS}/{id_of(experiment.name)}"


def everything(session: Session) -> list[Experiment]:
    """Every experiment, the deleted ones and Default too."""
    known = tracking.known(session)
    return known if any(found.name == DEFAULT for found in known) else [_UNMADE, *known]


def existing(session: Session, id: str) -> Experiment:
    """The experiment with an id.

    Raises:
        NotFound: there is none.
    """
    for experiment in everything(session):
        if id_of(experiment.name) == id:
            return experiment
    raise NotFound(f"No Experiment with id={id[:80]} exists.")


def made(session: Session, caller: Caller, id: str) -> Experiment:
    """The experiment with an id, which is made now if it is Default and was not needed before."""
    found = existing(session, id)
    if found is not _UNMADE:
        return found
    created = session.clock.now()
    real = msgspec.structs.replace(found, created=created, location=_default_location(caller, DEFAULT))
    tracking.add(session, real)
    return real


@endpoint("POST experiments/create")
def create(caller: Caller, request: Create) -> Answer:
    """Make an experiment; its name may be any text, of which our own name is made."""
    with caller.unit("tracking:write") as unit:
        _check_title(unit, request.name)
        name = _name_for(unit, request.name)
        location = request.artifact_location.rstrip("/") or _default_location(caller, name)
        title = "" if name == request.name else request.name
        tags = texts(request.tags, _LONGEST_TAG)
        tracking.add(unit, Experiment(name, "", unit.clock.now(), title, tags, location))
        return {"experiment_id": id_of(name)}


@endpoint("GET experiments/get")
def get(caller: Caller, request: ById) -> Answer:
    """An experiment."""
    with caller.unit("tracking:read", write=False) as unit:
        return {"experiment": _shown(existing(unit, request.experiment_id))}


@endpoint("GET experiments/get-by-name")
def get_by_name(caller: Caller, request: ByName) -> Answer:
    """The experiment that people call so, deleted or not."""
    with caller.unit("tracking:read", write=False) as unit:
        for experiment in everything(unit):
            if title_of(experiment) == request.experiment_name:
                return {"experiment": _shown(experiment)}
    raise NotFound(f"Could not find experiment with name '{request.experiment_name[:200]}'.")


@endpoint("GET experiments/search", "POST experiments/search")
def search(caller: Caller, request: Search) -> Answer:
    """The experiments that meet a filter, newest first unless another order is named."""
    size = paging.check_size(request.max_results, _MOST)
    with caller.unit("tracking:read", write=False) as unit:
        wanted = [found for found in everything(unit) if _visible(found, request.view_type)]
    rows = filters.selected([_facts(found) for found in wanted], request.filter, request.order_by)
    page, token = paging.page(rows, request.page_token, size)
    by_id = {id_of(found.name): found for found in wanted}
    shown = [_shown(by_id[str(facts["experiment_id"])]) for facts in page]
    return {"experiments": shown} | ({"next_page_token": token} if token else {})


@endpoint("POST experiments/update")
def update(caller: Caller, request: Update) -> Answer:
    """Rename an experiment."""
    with caller.unit("tracking:write") as unit:
        experiment = _active(made(unit, caller, request.experiment_id))
        if request.new_name and request.new_name != title_of(experiment):
            _check_title(unit, request.new_name)
            title = "" if request.new_name == experiment.name else request.new_name
            tracking.change(unit, msgspec.structs.replace(experiment, title=title))
    return {}


@endpoint("POST experiments/delete")
def delete(caller: Caller, request: ById) -> Answer:
    """Put an experiment out of sight."""
    with caller.unit("tracking:write") as unit:
        tracking.hide(unit, made(unit, caller, request.experiment_id))
    return {}


@endpoint("POST experiments/restore")
def restore(caller: Caller, request: ById) -> Answer:
    """Bring a deleted experiment back."""
    with caller.unit("tracking:write") as unit:
        tracking.restore(unit, made(unit, caller, request.experiment_id))
    return {}


@endpoint("POST experiments/set-experiment-tag")
def set_tag(caller: Caller, request: SetTag) -> Answer:
    """Set a tag."""
    with caller.unit("tracking:write") as unit:
        experiment = _active(made(unit, caller, request.experiment_id))
        tags = experiment.tags | {request.key: request.value[:_LONGEST_TAG]}
        tracking.change(unit, msgspec.structs.replace(experiment, tags=tags))
    return {}


@endpoint("POST experiments/delete-experiment-tag")
def delete_tag(caller: Caller, request: DeleteTag) -> Answer:
    """Take a tag away."""
    with caller.unit("tracking:write") as unit:
        experiment = _active(made(unit, caller, request.experiment_id))
        if request.key not in experiment.tags:
            raise NotFound(f"Experiment {request.experiment_id} has no tag {request.key[:80]!r}.")
        tags = {key: value for key, value in experiment.tags.items() if key != request.key}
        tracking.change(unit, msgspec.structs.replace(experiment, tags=tags))
    return {}


def stage_of(deleted: datetime | None) -> str:
    """MLflow's word for what is out of sight, and for what is not."""
    return "active" if deleted is None else "deleted"


def _visible(experiment: Experiment, view: View) -> bool:
    return view == "ALL" or (experiment.deleted is None) == (view == "ACTIVE_ONLY")


def _active(experiment: Experiment) -> Experiment:
    if experiment.deleted is not None:
        raise Conflict(f"Experiment {title_of(experiment)!r} was deleted.", hint="Restore it first.")
    return experiment


def _check_title(session: Session, title: str) -> None:
    if not title.strip() or len(title) > _LONGEST_TITLE or not title.isprintable():
        raise InvalidInput(
            f"Invalid value {title[:80]!r} for parameter 'name'.",
            hint=f"Use 1 to {_LONGEST_TITLE} printable characters.",
        )
    taken = next((found for found in everything(session) if title_of(found) == title), None)
    if taken is not None:
        state = "was deleted: restore it, or choose another name" if taken.deleted else "is there already"
        raise AlreadyExists(f"Experiment '{title}' {state}.")


def _name_for(session: Session, title: str) -> str:
    """The title itself if it can be a name, else what is left of it and part of a hash."""
    if re.fullmatch(NAME_PATTERN, title) and tracking.first(session, title) is None:
        return title
    readable = re.sub(r"[^A-Za-z0-9._-]+", "-", title).strip("-._")[:100] or "experiment"
    name = f"{readable}-{digest_of(title.encode())[:8]}"
    return name if tracking.first(session, name) is None else f"{readable}-{session.new_id()[-12:]}"


def _default_location(caller: Caller, name: str) -> str:
    root = caller.platform.settings.values.artifacts.rstrip("/")
    return f"{root}/{id_of(name)}" if root else ""


def _facts(experiment: Experiment) -> filters.Facts:
    created = micros(experiment.created) // 1000
    facts: dict[str, str | int | None] = {f"tags.{key}": value for key, value in experiment.tags.items()}
    facts |= {"experiment_id": id_of(experiment.name), "name": title_of(experiment)}
    return facts | {"creation_time": created, "last_update_time": created}


def _shown(experiment: Experiment) -> Answer:
    created = micros(experiment.created) // 1000
    return {
        "experiment_id": id_of(experiment.name),
        "name": title_of(experiment),
        "artifact_location": location_of(experiment),
        "lifecycle_stage": stage_of(experiment.deleted),
        "creation_time": created,
        "last_update_time": micros(experiment.deleted) // 1000 if experiment.deleted else created,
        "tags": pairs(experiment.tags),
    }
