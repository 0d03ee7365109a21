"""The ledger's timeline, the lineage graph and traces."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime

import msgspec
from markupsafe import Markup

from everloop.catalog.entities import ChainReport, LedgerEntry, LineageGraph
from everloop.loop.entities import Trace
from everloop.server.pages import links
from everloop.server.pages.graph import Node, picture
from everloop.server.pages.site import Page, Visit
from everloop.server.pages.words import plain, pretty, spoken

PAGE = 50
MOST_NODES = 80
"""A lineage picture shows no more things than this; nearer ones go first."""
TONES = {
    "loops.candidate_promoted": "good",
    "rollouts.promoted": "good",
    "models.alias_moved": "good",
    "loops.candidate_refused": "bad",
    "loops.candidate_rolled_back": "bad",
    "loops.champion_rolled_back": "bad",
    "rollouts.rolled_back": "bad",
    "endpoints.rolled_back": "bad",
    "monitors.alert_opened": "warn",
}
_ID = re.compile(r"[0-9a-f]{32,}")
_SAID = ("reason", "summary", "message", "resolution", "status", "decision", "outcome")


class Line(msgspec.Struct, frozen=True):
    """An entry of the ledger as a line of the timeline."""

    sequence: int
    at: datetime
    principal: str
    kind: str
    group: str
    what: str
    subject: str
    said: str
    facts: str
    json: str
    hash: str
    tone: str


class LedgerPage(msgspec.Struct, frozen=True):
    """A page of the timeline."""

    lines: Sequence[Line]
    chain: ChainReport
    kind: str
    subject: str
    kinds: Sequence[str]
    older: str
    newest: str


class LineagePage(msgspec.Struct, frozen=True):
    """A thing with what it came from and what came from it."""

    root: str
    direction: str
    depth: str
    graph: LineageGraph | None
    picture: Markup | None
    hidden: int
    suggestions: Sequence[str]
    page: str


class TracePage(msgspec.Struct, frozen=True):
    """A trace, step by step."""

    what: str
    trace: Trace | None


def lines(entries: Sequence[LedgerEntry], project: str) -> list[Line]:
    """Entries as lines."""
    return [_line(entry) for entry in entries]


def timeline(visit: Visit) -> Page:
    """The ledger, newest first; `kind`, `subject` and `before` as the use case has them."""
    kind, subject = visit.query.get("kind", ""), visit.query.get("subject", "")
    before = visit.query.get("before", "0") or "0"
    entries: list[LedgerEntry] = visit.ask("audit.entries", kind=kind, subject=subject, before=before, limit=PAGE)
    more = len(entries) == PAGE and entries[-1].sequence > 1
    here = links.path("ledger", kind=kind, subject=subject)
    older = links.path("ledger", kind=kind, subject=subject, before=entries[-1].sequence) if more else ""
    it = LedgerPage(
        lines=lines(entries, visit.project),
        chain=visit.ask("audit.verify"),
        kind=kind,
        subject=subject,
        kinds=sorted({each.partition(".")[0] for each in _KINDS}),
        older=older,
        newest=here if before != "0" else "",
    )
    return Page("ledger.html", "Ledger", it)


_KINDS = (
    "datasets.", "endpoints.", "experiments.", "features.", "governance.", "loops.", "models.", "monitors.",
    "packages.", "pipelines.", "rollouts.", "runs.", "tokens.",
)  # fmt: skip


def lineage(visit: Visit) -> Page:
    """The graph around a URN, as a picture and as a list."""
    urn = visit.query.get("urn", "").strip()
    direction, depth = visit.query.get("direction", "both"), visit.query.get("depth", "20")
    if not urn:
        it = LineagePage("", direction, depth, None, None, 0, _suggestions(visit), "")
        return Page("lineage.html", "Lineage", it)
    graph: LineageGraph = visit.ask("lineage.graph", urn=urn, direction=direction, depth=depth)
    shown = _nearest(graph)
    nodes = [_node(each, direction) for each in shown]
    edges = _drawn(graph)
    it = LineagePage(
        root=urn,
        direction=direction,
        depth=depth,
        graph=graph,
        picture=picture(nodes, edges, urn) if len(graph.nodes) > 1 else None,
        hidden=len(graph.nodes) - len(shown),
        suggestions=_suggestions(visit),
        page=links.place(urn, visit.project),
    )
    return Page("lineage.html", "Lineage", it)


def trace(visit: Visit) -> Page:
    """From a prediction or anything with a URN, step by step to the bytes of data; of a source, to what it led to."""
    what = visit.query.get("what", "").strip()
    found: Trace | None = visit.asked_or(None, "loops.trace", what=what) if what else None
    if what and found is None:
        found = visit.ask("loops.trace", what=what, forward=True)
    return Page("trace.html", "Trace", TracePage(what, found))


def _line(entry: LedgerEntry) -> Line:
    group, _, verb = entry.kind.partition(".")
    said = next((str(entry.event[key]) for key in _SAID if entry.event.get(key)), "")
    facts = [
        f"{spoken(key)} {plain(value)}"
        for key, value in entry.event.items()
        if key not in ("kind", "subject", *_SAID)
        and isinstance(value, str | int | float)
        and value not in ("", 0, None)
        and len(str(value)) <= 40
        and not _ID.fullmatch(str(value))
    ]
    return Line(
        sequence=entry.sequence,
        at=entry.at,
        principal=entry.principal,
        kind=entry.kind,
        group=group,
        what=spoken(verb),
        subject=entry.subject,
        said=said,
        facts=", ".join(facts[:4]),
        json=pretty(entry.event),
        hash=entry.hash,
        tone=TONES.get(entry.kind, ""),
    )


def _drawn(graph: LineageGraph) -> list[tuple[str, str]]:
    """The edges as arrows; of what an execution both made and used, only the use is drawn."""
    used = {(edge.upstream, edge.downstream) for edge in graph.edges if edge.relation == "used"}
    return [
        (edge.upstream, edge.downstream)
        for edge in graph.edges
        if edge.relation != "made_by" or (edge.downstream, edge.upstream) not in used
    ]


def _nearest(graph: LineageGraph) -> list[str]:
    """The things nearest to the root, as many as a picture can hold."""
    near: dict[str, list[str]] = {}
    for edge in graph.edges:
        near.setdefault(edge.downstream, []).append(edge.upstream)
        near.setdefault(edge.upstream, []).append(edge.downstream)
    found, frontier = [graph.root], [graph.root]
    while frontier and len(found) < MOST_NODES:
        known = set(found)
        frontier = list(dict.fromkeys(other for each in frontier for other in near.get(each, []) if other not in known))
        found += frontier
    return found[:MOST_NODES]


def _node(urn: str, direction: str) -> Node:
    kind, _, name = links.short(urn).rpartition(" ")
    return Node(
        urn, kind or "thing", name, links.path("lineage", urn=urn, direction="" if direction == "both" else direction)
    )


def _suggestions(visit: Visit) -> list[str]:
    """Things that a reader may want to start from: newest model versions, endpoints, datasets."""
    models = visit.ask("models.list")
    urns = [f"model:{visit.project}/{each.name}@{each.latest}" for each in models if each.latest]
    urns += [f"endpoint:{visit.project}/{each.name}" for each in visit.ask("endpoints.list")]
    urns += [f"dataset:{visit.project}/{each.name}@{each.latest}" for each in visit.ask("datasets.list")]
    return urns[:12]
