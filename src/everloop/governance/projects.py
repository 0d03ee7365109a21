"""Which projects there are: those that anything was kept in. Nobody makes them; they begin with their first thing."""

from __future__ import annotations

from sqlalchemy import Table, func, select

from everloop.catalog.schema import metadata
from everloop.catalog.session import Session


def projects(session: Session) -> list[str]:
    """The names of the projects, in order. It costs a step in an index a table and project, however much is kept."""
    found = {session.project}
    for table in metadata.tables.values():
        if next(iter(table.primary_key.columns.keys()), "") == "project":
            found |= _in(session, table)
    return sorted(found)


def _in(session: Session, table: Table) -> set[str]:
    """The projects of a table: the least name, then the least one after it, and so on."""
    least = select(func.min(table.c.project))
    found: set[str] = set()
    name = session.scalars(least)[0]
    while name is not None:
        found.add(name)
        name = session.scalars(least.where(table.c.project > name))[0]
    return found
