"""What was made of versions of datasets, as lineage tells: followed as far as rows may have gone."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from sqlalchemy import select

from everloop.catalog.entities import LineageEdge
from everloop.catalog.session import Session
from everloop.catalog.tables import lineage
from everloop.datasets.splits.entities import Made

_ROWS_OF = ("derived_from", "quarantined_from")
"""The relations by which rows of one dataset stand in another."""
_AT_ONCE = 5_000
"""How many names a query may hold."""


def made_of(
    session: Session, held: Collection[str], known: Collection[str]
) -> tuple[tuple[Made, ...], tuple[str, ...]]:
    """What was made of versions that hold a subject, and the datasets among it of which nobody can tell.

    Of the `known` versions everybody can: what was made of those that do not hold it is not followed.
    """
    origin = {urn: urn for urn in held}
    frontier = set(held)
    while frontier:
        found = {edge.downstream: edge.upstream for edge in _edges(session, frontier, "upstream")}
        fresh = {urn: via for urn, via in found.items() if urn not in origin and urn not in known}
        origin |= {urn: origin[via] for urn, via in fresh.items()}
        frontier = set(fresh)
    made = sorted(urn for urn in origin if urn not in held)
    unsure = tuple(urn for urn in made if urn.startswith("dataset:"))
    return tuple(Made(urn, origin[urn]) for urn in made if not urn.startswith("dataset:")), unsure


def related_to(session: Session, name: str) -> frozenset[str]:
    """The datasets that a dataset was derived from, those that were derived from it or set aside of it, and itself."""
    return frozenset({name} | _derived(session, name, "upstream") | _derived(session, name, "downstream"))


def _derived(session: Session, name: str, side: str) -> set[str]:
    """The names that stand on the other side of derivations, step by step."""
    other = "downstream" if side == "upstream" else "upstream"
    found: set[str] = set()
    frontier = {urn for urn in _versions(session, side) if _name(urn) == name}
    seen = set(frontier)
    while frontier:
        edges = [edge for edge in _edges(session, frontier, side) if edge.relation in _ROWS_OF]
        frontier = {getattr(edge, other) for edge in edges} - seen
        seen |= frontier
        found |= {_name(urn) for urn in frontier}
    return found


def _versions(session: Session, side: str) -> Iterable[str]:
    query = select(lineage.c[side]).where(lineage.c.relation.in_(_ROWS_OF)).distinct()
    with session.begin(write=False) as unit:
        return [urn for urn in unit.scalars(query) if urn.startswith(f"dataset:{session.project}/")]


def _name(urn: str) -> str:
    return urn.partition("/")[2].partition("@")[0]


def _edges(session: Session, frontier: Iterable[str], side: str) -> list[LineageEdge]:
    names, found = sorted(frontier), []
    with session.begin(write=False) as unit:
        for start in range(0, len(names), _AT_ONCE):
            chosen = lineage.c[side].in_(names[start : start + _AT_ONCE])
            found += unit.all(LineageEdge, select(lineage).where(chosen))
    return found
