"""Retention: what the catalog refers to, so that garbage collection frees only what nothing does."""

from __future__ import annotations

import re
from collections.abc import Iterator

from sqlalchemy import Column, RowMapping, String, Table, Text, select, type_coerce

from everloop.catalog.schema import Encoded, metadata
from everloop.catalog.session import Session
from everloop.kernel.ids import Urn
from everloop.store.entities import Digest

HISTORY = frozenset({"ledger", "chain_head", "answered", "alembic_version"})
"""Tables that tell what was, and keep nothing alive."""
_DIGEST = re.compile(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
_PAGE = 1_000
_WIDTH = 64
_KINDS = {
    "snapshots": ("dataset", "dataset", "version"),
    "model_versions": ("model", "model", "version"),
    "runs": ("run", "id"),
    "artifacts": ("run", "run"),
    "packages": ("package", "model", "version"),
    "deployments": ("deployment", "endpoint", "revision"),
}
"""The kinds of URNs that the rows of tables have, and the columns that are their names and versions."""


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


def references(session: Session) -> Iterator[tuple[Digest, str]]:
    """The same addresses, each with what spells it: a URN, or the name of a table with the key of a row."""
    for table in metadata.sorted_tables:
        columns = [column for column in table.columns if _may_refer(column)] if table.name not in HISTORY else []
        for row in _rows(session, table, columns) if columns else ():
            texts = [row[f"spelled_{column.name}"] for column in columns]
            for text in texts:
                yield from ((digest, name_of(table, row)) for digest in addresses_in(text))


def required(session: Session) -> Iterator[tuple[Digest, str]]:
    """Addresses whose bytes must be there, with what needs them: other texts may only look like addresses.

    Content of older versions may have been given up where they came from: what was pulled without it is no damage.
    """
    for table in metadata.sorted_tables:
        columns = [column for column in table.columns if _must_be_there(column)]
        for row in _rows(session, table, columns) if columns else ():
            for column in columns:
                yield from ((digest, name_of(table, row)) for digest in addresses_in(row[f"spelled_{column.name}"]))


def addresses_in(text: str | None) -> list[Digest]:
    """What looks like an address in a text."""
    return [Digest(found) for found in _DIGEST.findall(text or "")]


def _rows(session: Session, table: Table, columns: list[Column[object]]) -> Iterator[RowMapping]:
    """The keys of a table's rows, and the texts in some columns."""
    texts = [type_coerce(column, Text).label(f"spelled_{column.name}") for column in columns]
    query = select(*table.primary_key.columns, *texts)
    if "foreign" in table.c and "purged" in table.c:  # Versions that are elsewhere, or were given up.
        query = query.where(table.c.purged.is_(None), table.c.foreign.is_(None))
    for row in session.connection.execute(query.execution_options(yield_per=_PAGE)):
        yield row._mapping


def name_of(table: Table, row: RowMapping) -> str:
    """What a row is: a URN, or the name of its table with its key."""
    kind, *parts = _KINDS.get(table.name, (table.name,))
    if parts:
        return str(Urn(kind, row["project"], str(row[parts[0]]), str(row[parts[1]]) if len(parts) > 1 else ""))
    return f"{kind} {'/'.join(str(row[column.name]) for column in table.primary_key.columns)}"


def _must_be_there(column: Column[object]) -> bool:
    return column.info.get("digest") is True and isinstance(column.type, String) and column.type.length == _WIDTH


def _may_refer(column: Column[object]) -> bool:
    if "digest" in column.info:
        return bool(column.info["digest"])
    kind = column.type
    return isinstance(kind, Encoded | Text) or (isinstance(kind, String) and (kind.length or 64) >= 64)


def _spelled(session: Session, columns: list[Column[object]]) -> Iterator[Digest]:
    query = select(*(type_coerce(column, Text) for column in columns))
    for row in session.connection.execute(query.execution_options(yield_per=_PAGE)):
        for text in row:
            yield from addresses_in(text)
