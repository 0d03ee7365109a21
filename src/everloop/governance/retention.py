"""Retention: what the catalog refers to, so that garbage collection frees only what nothing does."""

from __future__ import annotations

import re
from collections.abc import Iterator

from sqlalchemy import Column, String, Text, select, type_coerce

from everloop.catalog.schema import Encoded, metadata
from everloop.catalog.session import Session
from everloop.store.entities import Digest

HISTORY = frozenset({"ledger", "chain_head", "answered", "alembic_version"})
"""Tables that tell what was, and keep nothing alive."""
_DIGEST = re.compile(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
_PAGE = 1_000


def roots(session: Session) -> set[Digest]:
    """Every address that a text anywhere in the catalog spells, in all projects.

    Areas need not register: columns of text and of `Encoded` values are read unless they say `info={"digest": False}`.
    So a forgotten mark keeps too much, and never too little.
    """
    found: set[Digest] = set()
    for table in metadata.sorted_tables:
        columns = [column for column in table.columns if _may_refer(column)] if table.name not in HISTORY else []
        if columns:
            found.update(_spelled(session, columns))
    return found


def _may_refer(column: Column[object]) -> bool:
    if "digest" in column.info:
        return bool(column.info["digest"])
    kind = column.type
    return isinstance(kind, Encoded | Text) or (isinstance(kind, String) and (kind.length or 64) >= 64)


def _spelled(session: Session, columns: list[Column[object]]) -> Iterator[Digest]:
    query = select(*(type_coerce(column, Text) for column in columns))
    for row in session.connection.execute(query.execution_options(yield_per=_PAGE)):
        for text in row:
            yield from map(Digest, _DIGEST.findall(text or ""))
