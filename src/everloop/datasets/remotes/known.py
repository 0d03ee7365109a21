"""The remotes that a project knows, by name."""

from __future__ import annotations

from sqlalchemy import select

from everloop.catalog.session import Session
from everloop.datasets.remotes.entities import Remote
from everloop.datasets.remotes.tables import remotes


def remote_of(unit: Session, name: str) -> Remote:
    """A remote of the project.

    Raises:
        NotFound: there is none of that name.
    """
    here = (remotes.c.project == unit.project) & (remotes.c.name == name)
    return unit.one(
        Remote,
        select(remotes).where(here),
        f"There is no remote {name!r}.",
        hint="everloop remotes list shows what there is; everloop remotes add gives a place a name.",
    )
