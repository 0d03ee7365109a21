"""The registry's rows, read: models, versions, aliases and decisions as they stand."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

from sqlalchemy import ColumnElement, Select, Table, and_, func, or_, select

from everloop.catalog.session import Session
from everloop.kernel.ids import NAME_PATTERN
from everloop.registry.entities import Alias, Approval, ModelVersion, RegisteredModel
from everloop.registry.tables import aliases, approvals, models, versions
from everloop.store.service import digest_of


def of(session: Session, table: Table, model: str, version: int = 0) -> ColumnElement[bool]:
    """The rows of a model, or of one of its versions."""
    here = and_(table.c.project == session.project, table.c.model == model)
    return and_(here, table.c.version == version) if version else here


def named(session: Session, name: str) -> ColumnElement[bool]:
    """The row of a name, also when the model was deleted."""
    return and_(models.c.project == session.project, models.c.name == name)


def model(session: Session, name: str) -> RegisteredModel | None:
    """The model of a name, if there is one."""
    return session.first(RegisteredModel, _models().where(named(session, name), models.c.deleted.is_(None)))


def every_model(session: Session) -> list[RegisteredModel]:
    """The models of the project, by name."""
    here = and_(models.c.project == session.project, models.c.deleted.is_(None))
    return session.all(RegisteredModel, _models().where(here).order_by(models.c.name))


def called(session: Session, title: str) -> RegisteredModel | None:
    """The model that people call so, if there is one."""
    query = _models().where(_called(session, title), models.c.deleted.is_(None))
    return session.first(RegisteredModel, query)


def deleted(session: Session, title: str) -> RegisteredModel | None:
    """What is left of a deleted model that people called so: its name, and the number of its newest version."""
    return session.first(RegisteredModel, _models().where(_called(session, title), models.c.deleted.is_not(None)))


def free_name(session: Session, title: str) -> str:
    """A name that no model has had: the title itself if it can be one, else what is left of it and part of a hash."""
    if re.fullmatch(NAME_PATTERN, title) and not _taken(session, title):
        return title
    readable = re.sub(r"[^A-Za-z0-9._-]+", "-", title).strip("-._")[:100] or "model"
    name = f"{readable}-{digest_of(title.encode())[:8]}"
    return f"{readable}-{session.new_id()[-12:]}" if _taken(session, name) else name


def version(session: Session, name: str, number: int) -> ModelVersion | None:
    """A version by its number; 0 is the newest."""
    query = select(versions).where(of(session, versions, name, number))
    return session.first(ModelVersion, query.order_by(versions.c.version.desc()).limit(1))


def every_version(session: Session, name: str) -> list[ModelVersion]:
    """The versions of a model, newest first."""
    query = select(versions).where(of(session, versions, name)).order_by(versions.c.version.desc())
    return session.all(ModelVersion, query)


def alias(session: Session, name: str, alias: str) -> Alias | None:
    """An alias of a model, if there is one."""
    return session.first(Alias, select(aliases).where(of(session, aliases, name), aliases.c.alias == alias))


def every_alias(session: Session, name: str) -> list[Alias]:
    """The aliases of a model, by name."""
    return session.all(Alias, select(aliases).where(of(session, aliases, name)).order_by(aliases.c.alias))


def aliases_of(session: Session, names: Collection[str]) -> dict[str, list[Alias]]:
    """The aliases of some models, by model."""
    here = and_(aliases.c.project == session.project, aliases.c.model.in_(names))
    found: dict[str, list[Alias]] = {name: [] for name in names}
    for one in session.all(Alias, select(aliases).where(here).order_by(aliases.c.alias)):
        found[one.model].append(one)
    return found


def newest_of(session: Session, names: Collection[str]) -> dict[str, list[ModelVersion]]:
    """The newest version of some models in each stage, by model."""
    here = and_(versions.c.project == session.project, versions.c.model.in_(names))
    newest = select(versions.c.model, func.max(versions.c.version).label("version"))
    inner = newest.where(here).group_by(versions.c.model, versions.c.stage).subquery()
    same = and_(versions.c.model == inner.c.model, versions.c.version == inner.c.version)
    found: dict[str, list[ModelVersion]] = {name: [] for name in names}
    for one in session.all(ModelVersion, select(versions).join(inner, same).where(here).order_by(versions.c.version)):
        found[one.model].append(one)
    return found


def decisions(session: Session, name: str, number: int) -> list[Approval]:
    """The decisions about a version, newest first."""
    query = select(approvals).where(of(session, approvals, name, number))
    return session.all(Approval, query.order_by(approvals.c.number.desc()))


def _called(session: Session, title: str) -> ColumnElement[bool]:
    plain = and_(models.c.name == title, models.c.title == "")
    return and_(models.c.project == session.project, or_(models.c.title == title, plain))


def _taken(session: Session, name: str) -> bool:
    return bool(session.scalars(select(models.c.name).where(named(session, name))))


def _models() -> Select[tuple[Any, ...]]:
    return select(models)
