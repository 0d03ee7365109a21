"""Traces: from a prediction, one step at a time, to the model, the run, the code, the features and the bytes of data.

The way is that of the lineage graph; at each thing its facts are told. With `forward` it goes the other way.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from everloop.catalog import lineage
from everloop.catalog.entities import LineageGraph
from everloop.catalog.session import Session
from everloop.kernel.errors import InvalidInput, NotFound
from everloop.kernel.ids import parse_urn
from everloop.loop.entities import Trace, TraceStep
from everloop.loop.facts import facts_of, predictions_of
from everloop.loop.ways import ways_of
from everloop.monitoring import service as monitors
from everloop.rollouts import service as rollouts
from everloop.serving import service as endpoints
from everloop.serving.entities import PredictionRecord

DEPTH = 40
"""So many edges of lineage are followed at most."""
_ID = re.compile(r"[0-9a-f]{32}-\d+")


def trace(session: Session, what: str, forward: bool = False) -> Trace:
    """The trace of a prediction's id, or of a URN.

    Raises:
        NotFound: nothing is known of it.
        InvalidInput: it is neither an id nor a URN.
    """
    with session.begin(write=False) as unit:
        if _ID.fullmatch(what):
            return _of_prediction(unit, _endpoint_of(unit, what), what)
        urn = parse_urn(what)
        if urn.project != session.project:
            raise InvalidInput(
                f"{what} is of project {urn.project!r}; this is {session.project!r}.", hint="Name its project."
            )
        if urn.kind == "prediction":
            return _of_prediction(unit, urn.name, urn.version)
        return Trace(what, "downstream" if forward else "upstream", tuple(_walk(unit, what, forward, 0)))


def rendered(found: Trace) -> str:
    """A trace as an indented text, a thing a paragraph, as `everloop trace` prints it."""
    lines = []
    for step in found.steps:
        indent = "   " * step.depth
        arrow = f"{step.relation} " if step.relation else ""
        lines.append(f"{indent}{'└─ ' if step.depth else ''}{arrow}{step.urn}")
        lines += [f"{indent}      {name}: {value}" for name, value in step.facts.items()]
    return "\n".join(lines)


def _of_prediction(unit: Session, endpoint: str, id: str) -> Trace:
    record = endpoints.prediction(unit, endpoint, id)
    urn = unit.urn("prediction", endpoint, id)
    steps = [TraceStep(0, "", urn, _prediction_facts(record)), *_beside(unit, record)]
    if record.deployment:  # What a fallback answers is no deployment's.
        deployment = unit.urn("deployment", endpoint, record.deployment)
        steps += _walk(unit, deployment, False, 1, "answered_by")
    return Trace(urn, "upstream", tuple(steps))


def _endpoint_of(unit: Session, id: str) -> str:
    for endpoint in endpoints.list_endpoints(unit):
        try:
            endpoints.prediction(unit, endpoint.name, id)
        except NotFound:
            continue
        return endpoint.name
    raise NotFound(f"No endpoint has logged a prediction {id!r}.", hint="everloop endpoints predictions lists some.")


def _prediction_facts(record: PredictionRecord) -> dict[str, str]:
    """What was asked, with which features, and what was answered."""
    output = "none: the model failed" if record.output is None else f"{record.output:.6f}"
    told = {
        "at": f"{record.at:%Y-%m-%d %H:%M:%S} UTC",
        "output": f"{output} in {record.latency_us} µs",
        "met": f"the {record.role} variant, with probability {record.probability:g}",
    }
    if record.key:
        told["key"] = record.key
    told["features"] = ", ".join(f"{name}={_shown(value)}" for name, value in record.features.items())
    if record.entities:
        told["entities"] = ", ".join(f"{name}={value}" for name, value in record.entities.items())
    return told


def _beside(unit: Session, record: PredictionRecord) -> Iterator[TraceStep]:
    """The label, the rollout that the prediction took part in, and the alerts about its window."""
    key = record.key or record.id
    if record.label is not None:
        known = {"value": f"{record.label:g}", "known": f"{record.label_at:%Y-%m-%d %H:%M:%S} UTC"}
        yield TraceStep(1, "labelled", unit.urn("label", record.endpoint, key), known)
    for rollout in rollouts.list_rollouts(unit, record.endpoint, 1000):
        ended = rollout.ended or record.at
        if rollout.started <= record.at <= ended and record.deployment in (rollout.stable, rollout.challenger):
            urn = unit.urn("rollout", rollout.id)
            yield TraceStep(1, "took_part_in", urn, facts_of(unit, urn))
    for alert in monitors.list_alerts(unit, record.endpoint):
        if alert.window <= record.at <= alert.last_seen:
            told = {"summary": alert.summary, "severity": alert.severity}
            yield TraceStep(1, "alerted_by", unit.urn("alert", alert.id), told)


def _walk(unit: Session, root: str, forward: bool, depth: int, relation: str = "") -> Iterator[TraceStep]:
    """The root and everything behind it, each thing once, below the first that leads to it."""
    graph = lineage.graph(unit, root, "downstream" if forward else "upstream", DEPTH)
    if not graph.edges and not facts_of(unit, root):
        raise NotFound(f"Nothing is known of {root}.", hint="everloop trace takes a prediction's id or a URN.")
    ways = ways_of(graph, forward)
    served = predictions_of(unit, graph.nodes) if forward else {}
    seen: set[str] = set()
    waiting = [(root, relation, depth)]
    while waiting:
        urn, how, at = waiting.pop()
        if urn in seen:
            continue
        seen.add(urn)
        told = facts_of(unit, urn) | _parents(graph, urn, forward)
        if urn in served:
            told["predictions"] = f"{served[urn]:,}"
        yield TraceStep(at, how, urn, told)
        waiting += [(other, how, at + 1) for other, how in reversed(ways.get(urn, []))]


def _parents(graph: LineageGraph, urn: str, forward: bool) -> dict[str, str]:
    """What a dataset was derived from: the trace tells of each thing once, so that it may stand elsewhere."""
    edges = [edge for edge in graph.edges if edge.downstream == urn and edge.relation == "derived_from"]
    names = [f"{parent.name}@{parent.version}" for parent in (parse_urn(edge.upstream) for edge in edges)]
    return {"derived from": ", ".join(names)} if names and not forward else {}


def _shown(value: float | str | None) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
