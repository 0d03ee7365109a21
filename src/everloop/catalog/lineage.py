"""Lineage: what came from what, in both directions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from sqlalchemy import select

from everloop.catalog.entities import LineageEdge, LineageGraph
from everloop.catalog.session import Session
from everloop.catalog.tables import lineage

_AT_ONCE = 5_000
"""How many names a query may hold; SQLite takes 32,766."""
Direction = Literal["upstream", "downstream", "both"]


def link(session: Session, downstream: str, upstream: str, relation: str) -> None:
    """Record that `downstream` came from `upstream`; recording it again changes nothing."""
    here = (lineage.c.downstream == downstream) & (lineage.c.upstream == upstream) & (lineage.c.relation == relation)
    if session.connection.execute(select(lineage.c.at).where(here)).first() is None:
        session.insert(
            lineage, {"downstream": downstream, "upstream": upstream, "relation": relation, "at": session.clock.now()}
        )


def graph(session: Session, root: str, direction: Direction, depth: int) -> LineageGraph:
    """Everything within `depth` edges of a URN, going up, down, or each way from it (never down from an ancestor)."""
    edges: set[LineageEdge] = set()
    for way in ("upstream", "downstream") if direction == "both" else (direction,):
        frontier, seen = {root}, {root}
        for _ in range(depth):
            found = _edges(session, frontier, way)
            edges |= found
            frontier = {edge.upstream if way == "upstream" else edge.downstream for edge in found} - seen
            seen |= frontier
            if not frontier:
                break
    nodes = {root} | {edge.upstream for edge in edges} | {edge.downstream for edge in edges}
    return LineageGraph(root, sorted(nodes), sorted(edges))


def _edges(session: Session, frontier: Iterable[str], way: str) -> set[LineageEdge]:
    column = lineage.c.downstream if way == "upstream" else lineage.c.upstream
    names, found = sorted(frontier), set()
    for start in range(0, len(names), _AT_ONCE):
        found |= set(session.all(LineageEdge, select(lineage).where(column.in_(names[start : start + _AT_ONCE]))))
    return found
