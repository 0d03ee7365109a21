"""Tags beside models and versions, which themselves never change."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping

import msgspec
from sqlalchemy import ColumnElement, and_, delete, select

from everloop.catalog.session import Session
from everloop.kernel.errors import InvalidInput, NotFound
from everloop.registry.entities import ModelTagged
from everloop.registry.tables import tags as tags_table

_KEY_LENGTH = 250
_VALUE_LENGTH = 100_000


class Tag(msgspec.Struct, frozen=True):
    """A tag of a version of a model, or of the model itself, where the version is 0."""

    model: str
    version: int
    key: str
    value: str


def known(session: Session, model: str = "") -> Mapping[tuple[str, int], dict[str, str]]:
    """The tags of a model and its versions (of all models, when none is named), by name and version."""
    query = select(tags_table).where(tags_table.c.project == session.project).order_by(tags_table.c.key)
    found: dict[tuple[str, int], dict[str, str]] = defaultdict(dict)
    for tag in session.all(Tag, query.where(tags_table.c.model == model) if model else query):
        found[tag.model, tag.version][tag.key] = tag.value
    return found


def of(
    session: Session, models: Collection[str], versions: Collection[int]
) -> Mapping[tuple[str, int], dict[str, str]]:
    """The tags of some versions of some models, by name and version."""
    here = and_(tags_table.c.project == session.project, tags_table.c.model.in_(models))
    query = select(tags_table).where(here, tags_table.c.version.in_(versions)).order_by(tags_table.c.key)
    found: dict[tuple[str, int], dict[str, str]] = defaultdict(dict)
    for tag in session.all(Tag, query):
        found[tag.model, tag.version][tag.key] = tag.value
    return found


def assign(session: Session, model: str, version: int, given: Mapping[str, str]) -> None:
    """Set tags of a version, or of the model itself (version 0).

    Raises:
        InvalidInput: a key is empty, too long or not printable.
    """
    if not given:
        return
    write(session, model, version, given)
    session.emit(ModelTagged(subject=_urn(session, model, version), tags=dict(given)))


def write(session: Session, model: str, version: int, given: Mapping[str, str]) -> None:
    """Set tags of something that is being made, whose own event tells them.

    Raises:
        InvalidInput: a key is empty, too long or not printable, or a value is too long.
    """
    for key, value in given.items():
        if not key or len(key) > _KEY_LENGTH or not key.isprintable():
            raise InvalidInput(f"{key[:80]!r} is not a key.", hint=f"Use 1 to {_KEY_LENGTH} printable characters.")
        if len(value) > _VALUE_LENGTH:
            raise InvalidInput(
                f"The value of tag {key[:80]!r} has {len(value):,} characters: 'value' exceeds the maximum length of "
                f"{_VALUE_LENGTH} characters."
            )
    if given:
        session.execute(delete(tags_table).where(_of(session, model, version), tags_table.c.key.in_(given)))
    for key, value in given.items():
        session.insert(tags_table, Tag(model, version, key, value))


def remove(session: Session, model: str, version: int, key: str) -> None:
    """Take a tag away.

    Raises:
        NotFound: there is no such tag.
    """
    if not session.execute(delete(tags_table).where(_of(session, model, version), tags_table.c.key == key)):
        raise NotFound(f"{_urn(session, model, version)} has no tag {key!r}.")
    session.emit(ModelTagged(subject=_urn(session, model, version), tags={key: None}))


def forget(session: Session, model: str, version: int = 0) -> None:
    """Take away every tag of something that is being deleted."""
    session.execute(delete(tags_table).where(_of(session, model, version)))


def _of(session: Session, model: str, version: int) -> ColumnElement[bool]:
    here = and_(tags_table.c.project == session.project, tags_table.c.model == model)
    return and_(here, tags_table.c.version == version)


def _urn(session: Session, model: str, version: int) -> str:
    return session.urn("model", model, version or "")
