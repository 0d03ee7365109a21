"""Which versions led to which: the walk through the versions that others were made from."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import select

from everloop.catalog.session import Session
from everloop.datasets.tables import snapshots

Bases = Mapping[int, tuple[int, ...]]
"""The versions that each version was made from."""


def bases_of(unit: Session, name: str) -> Bases:
    """The versions that each version of a dataset was made from."""
    here = (snapshots.c.project == unit.project) & (snapshots.c.dataset == name)
    query = select(snapshots.c.version, snapshots.c.base, snapshots.c.commit).where(here)
    return {int(version): made_from(version, base, commit) for version, base, commit in unit.connection.execute(query)}


def made_from(version: int, base: tuple[int, ...], commit: str) -> tuple[int, ...]:
    """The versions that a version was made from; before that was written down, it was the one before."""
    return base if commit or version == 1 else (version - 1,)


def ancestry(bases: Bases, version: int) -> set[int]:
    """A version and all that led to it, by way of both sides of merges."""
    found, waiting = set(), [version]
    while waiting:
        each = waiting.pop()
        if each not in found:
            found.add(each)
            waiting.extend(bases.get(each, ()))
    return found


def common_ancestor(bases: Bases, one: int, other: int) -> int:
    """The newest version that led to both; 0 when nothing did.

    Versions are numbered after those that they were made from, so no common ancestor is nearer than the newest. After
    merges in both directions (criss-cross) several are as near, and this is the newest of them.
    """
    return max(ancestry(bases, one) & ancestry(bases, other), default=0)
