"""Lineage as a layered picture: sources on the left, results on the right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

import msgspec
from markupsafe import Markup

WIDTH, HEIGHT, ACROSS, DOWN, EDGE = 178, 38, 214, 50, 8
"""The size of a node, the distances between nodes, and the margin, in pixels."""
SWEEPS = 4
"""How often the order within the layers is improved."""


class Node(msgspec.Struct, frozen=True):
    """A thing in the picture."""

    id: str
    kind: str
    name: str
    link: str


def picture(nodes: Sequence[Node], edges: Sequence[tuple[str, str]], root: str) -> Markup:
    """The graph as SVG; edges go from source to result."""
    known = {node.id for node in nodes}
    edges = [(source, result) for source, result in edges if source in known and result in known]
    edges = reduced(acyclic(edges))
    layers = ordered(layered([node.id for node in nodes], edges), edges)
    tallest = max(map(len, layers), default=1)
    places = {
        node: (EDGE + depth * ACROSS, EDGE + DOWN * row + DOWN * (tallest - len(layer)) // 2)
        for depth, layer in enumerate(layers)
        for row, node in enumerate(layer)
    }
    width, height = 2 * EDGE + ACROSS * (len(layers) - 1) + WIDTH, 2 * EDGE + DOWN * (tallest - 1) + HEIGHT
    parts = [_edge(places[source], places[result], root in (source, result)) for source, result in edges]
    parts += [_node(node, places[node.id], node.id == root) for node in nodes]
    return Markup(
        f'<svg class="graph" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="group" '
        f'aria-label="Lineage: {len(nodes)} things">{"".join(parts)}</svg>'
    )


def acyclic(edges: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """The edges without those that lead back to where a way came from."""
    results: dict[str, list[str]] = {}
    for source, result in sorted(edges):
        results.setdefault(source, []).append(result)
    kept: list[tuple[str, str]] = []
    done: set[str] = set()
    for start in results:
        way = [start] if start not in done else []
        while way:
            left = results.get(way[-1], [])
            if not left:
                done.add(way.pop())
                continue
            result = left.pop()
            if result not in way:
                kept.append((way[-1], result))
                way += [result] if result not in done else []
    return kept


def reduced(edges: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """The edges of a graph without cycles, less those that follow from a longer way: the same order, fewer lines."""
    results: dict[str, set[str]] = {}
    for source, result in edges:
        results.setdefault(source, set()).add(result)
    behind: dict[str, set[str]] = {source: _behind(source, results) for source in results}
    return sorted(
        (source, result)
        for source, held in results.items()
        for result in held
        if not any(result in behind.get(other, ()) for other in held)
    )


def _behind(start: str, results: Mapping[str, set[str]]) -> set[str]:
    """Everything that comes of a node."""
    found: set[str] = set()
    waiting = list(results.get(start, ()))
    while waiting:
        node = waiting.pop()
        if node not in found:
            found.add(node)
            waiting += results.get(node, ())
    return found


def layered(nodes: Sequence[str], edges: Sequence[tuple[str, str]]) -> list[list[str]]:
    """Nodes by the longest way from a source; a source stands right before the first thing that came of it."""
    depth = dict.fromkeys(nodes, 0)
    for _ in nodes:
        moved = False
        for source, result in edges:
            if depth[result] < depth[source] + 1:
                depth[result] = depth[source] + 1
                moved = True
        if not moved:
            break
    sources = set(nodes) - {result for _, result in edges}
    for node in sources:
        depth[node] = max(min((depth[result] for source, result in edges if source == node), default=1) - 1, 0)
    layers: dict[int, list[str]] = {}
    for node in nodes:
        layers.setdefault(depth[node], []).append(node)
    return [layers[number] for number in sorted(layers)]


def ordered(layers: Sequence[Sequence[str]], edges: Sequence[tuple[str, str]]) -> list[list[str]]:
    """The layers with neighbours near each other: sweeps by barycenter, which leave few crossings."""
    near: dict[str, list[str]] = {}
    for source, result in edges:
        near.setdefault(source, []).append(result)
        near.setdefault(result, []).append(source)
    found = [list(layer) for layer in layers]
    for sweep in range(SWEEPS):
        for layer in found if sweep % 2 == 0 else reversed(found):
            rows = {node: row / max(len(each), 1) for each in found for row, node in enumerate(each)}
            layer.sort(key=lambda node: _middle(node, near, rows))
    return found


def _middle(node: str, near: Mapping[str, Sequence[str]], rows: Mapping[str, float]) -> float:
    around = [rows[other] for other in near.get(node, ())]
    return sum(around) / len(around) if around else rows[node]


def _edge(source: tuple[int, int], result: tuple[int, int], is_near: bool) -> str:
    x1, y1, x2, y2 = source[0] + WIDTH, source[1] + HEIGHT // 2, result[0], result[1] + HEIGHT // 2
    middle = (x1 + x2) / 2
    return f'<path class="edge{" near" if is_near else ""}" d="M{x1},{y1} C{middle},{y1} {middle},{y2} {x2},{y2}"/>'


def _node(node: Node, place: tuple[int, int], is_root: bool) -> str:
    x, y = place
    shown = node.name if len(node.name) <= 23 else f"{node.name[:21]}…"
    return (
        f'<a href="{escape(node.link)}"><g class="node{" root" if is_root else ""}"><title>{escape(node.id)}</title>'
        f'<rect x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" rx="7"/>'
        f'<text class="kind" x="{x + 10}" y="{y + 15}">{escape(node.kind)}</text>'
        f'<text x="{x + 10}" y="{y + 30}">{escape(shown)}</text></g></a>'
    )
