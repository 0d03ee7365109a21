"""The ways that a trace goes: the lineage graph without what would only say the same again."""

from __future__ import annotations

from collections import defaultdict

from everloop.catalog.entities import LineageEdge, LineageGraph

ORDER = ("deployment", "model", "run", "execution", "feature_service", "feature_view", "dataset")
"""Of the things behind one thing, in which order they are told; others come first."""
LASTING = ("model", "deployment", "package", "rollout")
"""What makes the work behind it worth telling, going forward."""


def ways_of(graph: LineageGraph, forward: bool) -> dict[str, list[tuple[str, str]]]:
    """From each thing, the things to go on to, each with how it is related.

    Going back, data is reached through the execution that used it and not once more through its run, and never leads to
    the executions that made it again. Going forward, what came to a model is told, and the rest only if nothing did.
    """
    kept = _forward(graph) if forward else _backward(graph)
    ways: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for edge in kept:
        here, there = (edge.upstream, edge.downstream) if forward else (edge.downstream, edge.upstream)
        ways[here].append((there, edge.relation))
    return {urn: sorted(found, key=lambda way: (_rank(way[0]), way)) for urn, found in ways.items()}


def _backward(graph: LineageGraph) -> list[LineageEdge]:
    executed = {edge.downstream for edge in graph.edges if _kind(edge.upstream) == "execution"}
    return [
        edge
        for edge in graph.edges
        if not (_kind(edge.downstream) == "run" and edge.relation == "used" and edge.downstream in executed)
        and not (
            _kind(edge.downstream) == "dataset"
            and _kind(edge.upstream) == "execution"
            and edge.downstream != graph.root
        )
    ]


def _forward(graph: LineageGraph) -> list[LineageEdge]:
    executed = {edge.downstream for edge in graph.edges if _kind(edge.upstream) == "execution"}
    fruitful = _fruitful(graph)
    return [
        edge
        for edge in graph.edges
        if (edge.downstream in fruitful or not fruitful)
        and not (_kind(edge.downstream) == "run" and edge.relation == "used" and edge.downstream in executed)
        and not (_kind(edge.upstream) == "execution" and _kind(edge.downstream) == "dataset")
    ]


def _fruitful(graph: LineageGraph) -> set[str]:
    """Everything that came to something lasting, and that itself."""
    found = {urn for urn in graph.nodes if _kind(urn) in LASTING}
    while True:
        behind = {edge.upstream for edge in graph.edges if edge.downstream in found}
        if behind <= found:
            return found
        found |= behind


def _rank(urn: str) -> int:
    kind = _kind(urn)
    return ORDER.index(kind) if kind in ORDER else -1


def _kind(urn: str) -> str:
    return urn.partition(":")[0]
