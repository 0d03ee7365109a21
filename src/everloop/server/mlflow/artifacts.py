"""Artifacts for MLflow's clients: files of runs, and the files of model versions, by the path in their URI.

`mlflow-artifacts:/<experiment>/<run>/artifacts/<path>` is a file of a run,
`mlflow-artifacts:/<experiment>/models/<id>/artifacts/<path>` one of a logged model,
`mlflow-artifacts:/<experiment>/traces/<id>/artifacts/<path>` one of a trace, and
`mlflow-artifacts:/models/<name>/<version>/<path>` one of a registered version, which cannot be written.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

import msgspec

from everloop.catalog.session import Session
from everloop.kernel.errors import Conflict, InvalidInput, NotFound
from everloop.kernel.usecase import Json
from everloop.registry import service as registry
from everloop.server.files import StoredFile
from everloop.server.mlflow import experiments, loggedmodels, paging, runs
from everloop.server.mlflow.endpoint import Answer, Caller, endpoint
from everloop.server.mlflow.paths import checked
from everloop.store.entities import Digest, TreeEntry
from everloop.tracking import files, paths
from everloop.tracking.traces import rows as traces
from everloop.tracking.traces.rows import holder_of

MODELS = "models"
TRACES = "traces"
_PAGE = 10_000
_ARTIFACTS = re.compile(r"(?:^|/)artifacts(?:/|$)")


class Place(msgspec.Struct, frozen=True):
    """What a path names: a file or folder of a run, a logged model, a trace, or a version of a registered model."""

    path: str
    run: str = ""
    experiment: str = ""
    logged: str = ""
    trace: str = ""
    model: str = ""
    version: int = 0


class List(runs.ById, frozen=True):
    """A folder of a run."""

    path: str = ""
    page_token: str = ""


class OfModel(msgspec.Struct, frozen=True):
    """A folder of a logged model."""

    model_id: str
    artifact_directory_path: str = ""


@endpoint("GET artifacts/list")
def list_of_run(caller: Caller, request: List) -> Answer:
    """What is in a folder of a run, by paths from the run's root."""
    folder = checked(request.path)
    with caller.unit("tracking:read", write=False) as unit:
        row = runs.row_of(unit, runs.id_of(request))
        place = Place(folder, run=row.id, experiment=experiments.id_of(row.experiment))
        found = _listed(files_at(unit, place), folder, f"{folder}/" if folder else "")
        info = runs.shown(unit, [row])[0]["info"]
    page, token = paging.page(found, request.page_token, _PAGE)
    root = info["artifact_uri"] if isinstance(info, dict) else ""
    return {"root_uri": root, "files": list(page)} | ({"next_page_token": token} if token else {})


@endpoint("GET logged-models/{model_id}/artifacts/directories")
def list_of_model(caller: Caller, request: OfModel) -> Answer:
    """What is in a folder of a logged model, by paths from its root."""
    folder = checked(request.artifact_directory_path)
    with caller.unit("tracking:read", write=False) as unit:
        model = loggedmodels.existing(unit, request.model_id)
        place = Place(folder, logged=model.id, experiment=experiments.id_of(model.experiment))
        found = _listed(files_at(unit, place), folder, f"{folder}/" if folder else "")
    return {"root_uri": f"{experiments.ARTIFACTS}/{path_of(place)}", "files": found}


def listing(caller: Caller, path: str) -> Answer:
    """What is in a folder, by name; nothing where there is none."""
    with caller.unit("tracking:read", write=False) as unit:
        place = place_of(path)
        return {"files": _listed(files_at(unit, place), place.path, "")}


def stored(caller: Caller, place: Place) -> StoredFile:
    """The file at a place.

    Raises:
        NotFound: there is none.
    """
    with caller.unit("tracking:read", write=False) as unit:
        if place.model:
            found = next((it for it in files_at(unit, place) if it.path == place.path), None)
            size, digest = (found.size, found.digest) if found else (0, Digest(""))
        else:
            kept = files.at(unit, _holder(unit, place), place.path)
            size, digest = (kept.size, kept.digest) if kept else (0, Digest(""))
    if not digest:
        raise NotFound(f"No such artifact: '{path_of(place)[:200]}'")
    return StoredFile(PurePosixPath(place.path).name, digest, size)


def check_writable(caller: Caller, place: Place) -> None:
    """Let through what may be uploaded.

    Raises:
        PermissionDenied: the caller may not.
        NotFound: there is no such run.
        InvalidInput: the path is not one of a run's.
        Conflict: the logged model is complete.
    """
    with caller.unit("tracking:write", write=False) as unit:  # The bytes are written while nothing is locked.
        _writable(unit, place)
        if not place.path:
            raise _not_here(place)
        paths.checked(place.path)


def keep(caller: Caller, place: Place, digest: Digest) -> None:
    """Keep an uploaded file as an artifact of a run or a logged model, in the place of the one that was there."""
    with caller.unit("tracking:write") as unit:
        holder, urn = _writable(unit, place)
        files.put(unit, holder, place.path, digest, urn)


def remove(caller: Caller, place: Place) -> None:
    """Take a file away, or a folder with all that is in it; what is not there is no error."""
    with caller.unit("tracking:write") as unit:
        holder, urn = _writable(unit, place)
        files.remove(unit, holder, place.path, urn)


def files_at(session: Session, place: Place) -> Sequence[TreeEntry]:
    """The files at and below a place of a run or a logged model; of a version all that it has.

    Raises:
        NotFound: there is no such run or version.
    """
    if not place.model:
        holder = _holder(session, place)
        found = files.below(session, holder, place.path)
        itself = files.at(session, holder, place.path) if place.path else None
        return [TreeEntry(it.path, it.digest, it.size) for it in ([itself] if itself else found)]
    version = registry.version(session, place.model, place.version)
    return session.store.tree(version.trained.digest)


def place_of(path: str) -> Place:
    """What the path of an artifact names.

    Raises:
        InvalidInput: it leads out of where artifacts are.
        NotFound: there are no artifacts of that kind.
    """
    first, second, third, *rest = [*checked(path).split("/"), "", "", ""]
    inside = _ARTIFACTS.split(path, maxsplit=1)[-1]
    if first == MODELS and third.isdecimal() and len(third) < 10:
        return Place(checked("/".join(rest).rstrip("/")), model=second, version=int(third) or -1)
    if second == MODELS and rest[0] == "artifacts":
        return Place(checked(inside), logged=third, experiment=first)
    if second == TRACES and rest[0] == "artifacts":
        return Place(checked(inside), trace=third, experiment=first)
    if third == "artifacts":
        return Place(checked(inside), run=second, experiment=first)
    raise NotFound(f"There are no artifacts at '{path[:200]}'.", hint="Start from the artifact_uri of a run.")


def path_of(place: Place) -> str:
    """The path that names a place."""
    if place.model:
        root = f"{MODELS}/{place.model}/{place.version}"
    elif place.logged:
        root = f"{place.experiment}/{MODELS}/{place.logged}/artifacts"
    elif place.trace:
        root = f"{place.experiment}/{TRACES}/{place.trace}/artifacts"
    else:
        root = f"{place.experiment}/{place.run}/artifacts"
    return f"{root}/{place.path}".rstrip("/")


def of_run(caller: Caller, run: str, path: str) -> Place:
    """A place in a run.

    Raises:
        NotFound: there is no such run.
    """
    with caller.unit("tracking:read", write=False) as unit:
        row = runs.row_of(unit, run)
        return Place(checked(path), run=row.id, experiment=experiments.id_of(row.experiment))


def of_logged(caller: Caller, model: str, path: str) -> Place:
    """A place in a logged model.

    Raises:
        NotFound: there is no such model.
    """
    with caller.unit("tracking:read", write=False) as unit:
        found = loggedmodels.existing(unit, model)
        return Place(checked(path), logged=found.id, experiment=experiments.id_of(found.experiment))


def of_trace(caller: Caller, trace: str, path: str) -> Place:
    """A place in a trace.

    Raises:
        NotFound: there is no such trace.
    """
    with caller.unit("tracking:read", write=False) as unit:
        row = traces.one(unit, trace)
        return Place(checked(path), trace=row.id, experiment=experiments.id_of(row.experiment))


def _writable(session: Session, place: Place) -> tuple[str, str]:
    """The id under which files are kept at a place, and the URN of what takes them."""
    if not (place.run or place.logged or place.trace):
        raise _not_here(place)
    holder = _holder(session, place)
    if place.trace:
        return holder, session.urn("trace", place.trace)
    if not place.logged:
        return holder, session.urn("run", holder)
    if loggedmodels.existing(session, holder).status != "pending":
        raise Conflict(f"Logged model {holder} is complete and can no longer change.")
    return holder, session.urn("logged_model", holder)


def _not_here(place: Place) -> InvalidInput:
    told = path_of(place)[:200]
    return InvalidInput(f"Nothing can be uploaded to '{told}'.", hint="Upload below a run's artifact_uri.")


def _holder(session: Session, place: Place) -> str:
    """The id under which the files of the run, the logged model or the trace are kept that a place is in."""
    if place.trace:
        _check_home(place, traces.one(session, place.trace).experiment)
        return holder_of(place.trace)
    it = loggedmodels.existing(session, place.logged) if place.logged else runs.row_of(session, place.run)
    _check_home(place, it.experiment)
    return it.id


def _check_home(place: Place, experiment: str) -> None:
    if experiments.id_of(experiment) != place.experiment:
        raise NotFound(f"Experiment {place.experiment[:80]} has no {place.trace or place.logged or place.run}.")


def _listed(files: Iterable[TreeEntry], folder: str, prefix: str) -> list[Json]:
    """A folder's files and folders; a file that is named itself is listed as itself."""
    inside = f"{folder}/" if folder else ""
    found: dict[str, Json] = {}
    for file in files:
        if file.path == folder:
            name = PurePosixPath(folder).name
            return [] if prefix else [{"path": name, "is_dir": False, "file_size": file.size}]
        if not file.path.startswith(inside):
            continue
        name, deeper, _ = file.path.removeprefix(inside).partition("/")
        path = f"{prefix}{name}"
        found[name] = (
            {"path": path, "is_dir": True} if deeper else {"path": path, "is_dir": False, "file_size": file.size}
        )
    return [found[name] for name in sorted(found)]
