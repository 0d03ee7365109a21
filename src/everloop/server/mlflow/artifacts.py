"""Artifacts for MLflow's clients: files of runs, and the files of model versions, by the path in their URI.

`mlflow-artifacts:/<experiment>/<run>/artifacts/<path>` is a file of a run,
`mlflow-artifacts:/<experiment>/models/<id>/artifacts/<path>` one of a logged model, and
`mlflow-artifacts:/models/<name>/<version>/<path>` one of a registered version, which cannot be written.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import msgspec

from everloop.catalog.session import Session
from everloop.kernel.errors import Conflict, InvalidInput, NotFound
from everloop.kernel.usecase import Json
from everloop.registry import service as registry
from everloop.server.mlflow import experiments, loggedmodels, runs
from everloop.server.mlflow.endpoint import Answer, Caller, endpoint
from everloop.store.entities import Digest, TreeEntry
from everloop.tracking import service as tracking

MODELS = "models"


class Place(msgspec.Struct, frozen=True):
    """What a path names: a file or folder of a run, of a logged model, or of a version of a registered model."""

    path: str
    run: str = ""
    experiment: str = ""
    logged: str = ""
    model: str = ""
    version: int = 0


class List(runs.ById, frozen=True):
    """A folder of a run."""

    path: str = ""
    page_token: str = ""


@endpoint("GET artifacts/list")
def list_of_run(caller: Caller, request: List) -> Answer:
    """What is in a folder of a run, by paths from the run's root."""
    folder = _checked(request.path)
    with caller.unit("tracking:read", write=False) as unit:
        row = runs.row_of(unit, runs.id_of(request))
        files = files_at(unit, Place("", run=row.id, experiment=experiments.id_of(row.experiment)))
        info = runs.shown(unit, [row])[0]["info"]
    root = info["artifact_uri"] if isinstance(info, dict) else ""
    return {"root_uri": root, "files": _listed(files, folder, f"{folder}/" if folder else "")}


def listing(caller: Caller, path: str) -> Answer:
    """What is in a folder, by name; nothing where there is none."""
    with caller.unit("tracking:read", write=False) as unit:
        place = place_of(path)
        return {"files": _listed(files_at(unit, place), place.path, "")}


def digest_at(caller: Caller, path: str) -> Digest:
    """The address of a file's bytes.

    Raises:
        NotFound: there is no such file.
    """
    with caller.unit("tracking:read", write=False) as unit:
        place = place_of(path)
        for file in files_at(unit, place):
            if file.path == place.path:
                return file.digest
    raise NotFound(f"No such artifact: '{path[:200]}'")


def keep(caller: Caller, path: str, received: Path) -> None:
    """Keep an uploaded file as an artifact of a run.

    Raises:
        NotFound: there is no such run.
        InvalidInput: the path is not one of a run's.
    """
    place = place_of(path)
    if not (place.run or place.logged) or not place.path:
        raise InvalidInput(f"Nothing can be uploaded to '{path[:200]}'.", hint="Upload below a run's artifact_uri.")
    with caller.unit("tracking:write", write=False) as unit:  # The bytes are written while nothing is locked.
        _holder(unit, place)
    digest = caller.platform.resources.store.put_file(received)
    if place.run:
        caller.call("runs.log_artifact", id=place.run, path=place.path, digest=digest)
        return
    with caller.unit("tracking:write") as unit:
        if loggedmodels.existing(unit, place.logged).status != "pending":
            raise Conflict(f"Logged model {place.logged} is complete and can no longer change.")
        tracking.add_artifact(unit, place.logged, place.path, digest, unit.urn("logged_model", place.logged))


def files_at(session: Session, place: Place) -> Sequence[TreeEntry]:
    """Every file of the run or version that a place is in.

    Raises:
        NotFound: there is no such run or version.
    """
    if place.run or place.logged:
        holder = _holder(session, place)
        return [TreeEntry(it.path, it.digest, it.size) for it in tracking.files_of(session, holder)]
    version = registry.version(session, place.model, place.version)
    return session.store.tree(version.trained.digest)


def place_of(path: str) -> Place:
    """What the path of an artifact names.

    Raises:
        InvalidInput: it leads out of where artifacts are.
        NotFound: there are no artifacts of that kind.
    """
    parts = PurePosixPath(_checked(path)).parts
    if len(parts) >= 3 and parts[0] == MODELS and parts[2].isdecimal() and len(parts[2]) < 10:
        return Place("/".join(parts[3:]), model=parts[1], version=int(parts[2]) or -1)
    if len(parts) >= 4 and parts[1] == MODELS and parts[3] == "artifacts":
        return Place("/".join(parts[4:]), logged=parts[2], experiment=parts[0])
    if len(parts) >= 3 and parts[2] == "artifacts":
        return Place("/".join(parts[3:]), run=parts[1], experiment=parts[0])
    raise NotFound(f"There are no artifacts at '{path[:200]}'.", hint="Start from the artifact_uri of a run.")


def _holder(session: Session, place: Place) -> str:
    """The id of the run or logged model that a place is in."""
    it = loggedmodels.existing(session, place.logged) if place.logged else runs.row_of(session, place.run)
    if experiments.id_of(it.experiment) != place.experiment:
        raise NotFound(f"Experiment {place.experiment[:80]} has no {it.id}.")
    return it.id


def _checked(path: str) -> str:
    """The path without needless parts; on no system may it lead out of the folder that it is joined to."""
    pure = PurePosixPath(path)
    if pure.is_absolute() or ".." in pure.parts or "\\" in path or ":" in path or not path.isprintable():
        raise InvalidInput(
            f"Invalid path: {path[:200]!r}", hint="Use a relative path without '..', ':' and backslashes."
        )
    return "" if path in ("", ".") else str(pure)


def _listed(files: Sequence[TreeEntry], folder: str, prefix: str) -> list[Json]:
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
