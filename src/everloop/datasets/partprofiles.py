"""Profiles by part: the sketch of each file of rows is kept by its address, and those of a version's files add up."""

from __future__ import annotations

from sqlalchemy import delete, select

from everloop.catalog.session import Session
from everloop.datasets import parquet
from everloop.datasets.engine import TableEngine
from everloop.datasets.entities import Profile, Snapshot
from everloop.datasets.sketches import TableSketch, merged, profile_from, unpacked
from everloop.datasets.tables import sketches
from everloop.store.entities import Digest


def keep(session: Session, digest: Digest, sketch: TableSketch) -> None:
    """Keep the sketch of the rows at an address, unless it is kept already."""
    with session.begin() as unit:
        if not unit.scalars(select(sketches.c.digest).where(sketches.c.digest == digest)):
            unit.insert(sketches, {"digest": digest, "sketch": sketch.packed()})


def profile_of_parts(session: Session, snapshot: Snapshot) -> Profile | None:
    """The profile that the layers of a version add up to; none where rows were deleted or types have changed.

    Only files that have no sketch yet are read.
    """
    added = [layer.added.digest for layer in snapshot.layers if layer.added is not None]
    if not added or any(layer.deleted for layer in snapshot.layers):
        return None
    found = [_sketch(session, digest) for digest in added]
    types = {column.name: column.type for column in snapshot.columns}
    if any(types.get(column.name) != column.type for one in found for column in one.columns):
        return None
    return profile_from(merged(found))


def forget(unit: Session, snapshot: Snapshot) -> None:
    """Give up the sketches of a version's parts, which show values; another version that has them makes them anew."""
    parts = [snapshot.digest, *(layer.added.digest for layer in snapshot.layers if layer.added is not None)]
    unit.execute(delete(sketches).where(sketches.c.digest.in_(parts)))


def _sketch(session: Session, digest: Digest) -> TableSketch:
    with session.begin(write=False) as unit:
        kept = unit.scalars(select(sketches.c.sketch).where(sketches.c.digest == digest))
    if kept:
        return unpacked(kept[0])
    _, made = session.ports.get(TableEngine).profiled(parquet.read(session.store, digest))
    keep(session, digest, made)
    return made
