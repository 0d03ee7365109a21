"""The files of a run or a logged model: by path, added and, where clients do that, put in place of others."""

from __future__ import annotations

from pathlib import PurePosixPath

import msgspec
from sqlalchemy import ColumnElement, delete, func, insert, or_, select, update

from everloop.catalog import holds
from everloop.catalog.session import Session
from everloop.kernel.errors import Conflict
from everloop.store.entities import Digest
from everloop.tracking.entities import Artifact, ArtifactLogged, ArtifactsRemoved
from everloop.tracking.paths import checked
from everloop.tracking.tables import artifacts


def at(session: Session, holder: str, path: str) -> Artifact | None:
    """The file at a path."""
    here = _of(session, holder) & (artifacts.c.path == path)
    return session.first(Artifact, select(artifacts).where(here))


def below(session: Session, holder: str, folder: str = "") -> list[Artifact]:
    """The files in a folder and in the folders in it, by path."""
    query = select(artifacts).where(_of(session, holder)).order_by(artifacts.c.path)
    return session.all(Artifact, query.where(_inside(folder)) if folder else query)


def add(session: Session, holder: str, path: str, digest: str, urn: str) -> Artifact:
    """Add a file; the same file again is no error.

    Raises:
        InvalidInput: the path leads out, or has no form that a path has.
        Conflict: there is another file.
        NotFound: the store has no such object.
    """
    known = at(session, holder, str(PurePosixPath(path)))
    if known is not None and known.digest != digest:
        raise Conflict(f"{urn} has another file {path!r} already.", hint="Log it under another path.")
    return known or put(session, holder, path, digest, urn)


def put(session: Session, holder: str, path: str, digest: str, urn: str) -> Artifact:
    """Add a file, or put it in the place of another.

    Raises:
        InvalidInput: the path leads out, or has no form that a path has.
        Conflict: there is a folder, or one of the folders above is a file.
        NotFound: the store has no such object.
    """
    made = Artifact(checked(path), Digest(digest), session.store.size(Digest(digest)))
    known = at(session, holder, made.path)
    if known == made:
        return made
    if known is None:
        _check_room(session, holder, made.path)
        session.execute(insert(artifacts).values(**_row(session, holder, made)))
    else:
        here = _of(session, holder) & (artifacts.c.path == made.path)
        session.execute(update(artifacts).where(here).values(digest=made.digest, size=made.size))
    session.emit(ArtifactLogged(subject=urn, path=made.path, digest=digest))
    return made


def remove(session: Session, holder: str, path: str, urn: str) -> int:
    """Take a file away, or a folder with all that is in it; how many files that were.

    Raises:
        InvalidInput: the path leads out, or has no form that a path has.
        Refused: a legal hold is on what it belongs to.
    """
    path = checked(path) if path else ""
    holds.check(session, (urn,))
    wanted = or_(artifacts.c.path == path, _inside(path)) if path else artifacts.c.path != ""
    lost = session.execute(delete(artifacts).where(_of(session, holder), wanted))
    if lost:
        session.emit(ArtifactsRemoved(subject=urn, path=path, files=lost))
    return lost


def _check_room(session: Session, holder: str, path: str) -> None:
    """Refuse a file where a folder is, and one in a folder that is a file: no disk could take both."""
    above = [str(parent) for parent in PurePosixPath(path).parents][:-1]
    query = select(artifacts.c.path).where(_of(session, holder), or_(artifacts.c.path.in_(above), _inside(path)))
    for found in session.scalars(query.limit(1)):
        raise Conflict(f"{path!r} cannot be beside the file {found!r}.", hint="Choose another path.")


def _of(session: Session, holder: str) -> ColumnElement[bool]:
    return (artifacts.c.project == session.project) & (artifacts.c.run == holder)


def _inside(folder: str) -> ColumnElement[bool]:
    """What begins with the folder and a slash: no LIKE, which has no case in SQLite, and no order, which differs."""
    return func.substr(artifacts.c.path, 1, len(folder) + 1) == f"{folder}/"


def _row(session: Session, holder: str, made: Artifact) -> dict[str, object]:
    return msgspec.structs.asdict(made) | {"project": session.project, "run": holder}
