"""Models that clients log: how they are written and read back."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import msgspec
from sqlalchemy import ColumnElement, Select, insert, select, update

from everloop.catalog.session import Session
from everloop.tracking.entities import LoggedModel, ModelLogged
from everloop.tracking.tables import logged_models

_PAGE = 500


def add(session: Session, made: LoggedModel) -> None:
    """Keep a model whose files are about to come."""
    session.connection.execute(
        insert(logged_models).values(msgspec.structs.asdict(made) | {"project": session.project})
    )
    _tell(session, made)


def get(session: Session, id: str) -> LoggedModel:
    """A logged model.

    Raises:
        NotFound: there is none.
    """
    query = select(logged_models).where(_mine(session), logged_models.c.id == id)
    return session.one(LoggedModel, query, f"There is no logged model {id[:80]!r}.")


def by_run(session: Session, ids: Sequence[str]) -> Mapping[str, list[LoggedModel]]:
    """The logged models of some runs, by run, newest first."""
    found: dict[str, list[LoggedModel]] = defaultdict(list)
    for start in range(0, len(ids), _PAGE):
        page = logged_models.c.run.in_(ids[start : start + _PAGE])
        for model in session.all(LoggedModel, _known(session).where(page)):
            found[model.run].append(model)
    return found


def known(session: Session) -> list[LoggedModel]:
    """The logged models that were not deleted, newest first."""
    return session.all(LoggedModel, _known(session))


def change(session: Session, changed: LoggedModel) -> LoggedModel:
    """Keep what a logged model has become."""
    now = msgspec.structs.replace(changed, updated=session.clock.now())
    here = _mine(session) & (logged_models.c.id == now.id)
    session.execute(update(logged_models).where(here).values(msgspec.structs.asdict(now)))
    _tell(session, now)
    return now


def _known(session: Session) -> Select[tuple[object, ...]]:
    query: Select[tuple[object, ...]] = select(*logged_models.c)
    query = query.where(_mine(session), logged_models.c.deleted.is_(None))
    return query.order_by(logged_models.c.created.desc(), logged_models.c.id.desc())


def _tell(session: Session, model: LoggedModel) -> None:
    deleted = model.deleted is not None
    subject = session.urn("logged_model", model.id)
    session.emit(ModelLogged(subject=subject, name=model.name, status=model.status, deleted=deleted))


def _mine(session: Session) -> ColumnElement[bool]:
    return logged_models.c.project == session.project
