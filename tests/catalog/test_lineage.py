"""Lineage: what came from what."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from everloop.app.platform import Platform
from everloop.catalog import lineage
from everloop.catalog.entities import LineageEdge, LineageGraph
from everloop.catalog.session import Session
from tests.examples import examples

_examples = itertools.count()
EDGES = [
    ("features", "weather", "reads"),
    ("features", "flights", "reads"),
    ("run", "features", "used"),
    ("run2", "features", "used"),
    ("model", "run", "made_by"),
    ("deployment", "model", "serves"),
]


@pytest.fixture
def linked(session: Session) -> Session:
    for edge in EDGES:
        lineage.link(session, *edge)
    return session


def graph(session: Session, root: str, direction: lineage.Direction = "both", depth: int = 20) -> LineageGraph:
    return lineage.graph(session, root, direction, depth)


def test_upstream_is_everything_that_a_thing_came_from(linked: Session) -> None:
    assert graph(linked, "model", "upstream").nodes == ["features", "flights", "model", "run", "weather"]


def test_downstream_is_everything_that_came_from_a_thing(linked: Session) -> None:
    assert graph(linked, "weather", "downstream").nodes == ["deployment", "features", "model", "run", "run2", "weather"]


def test_both_ways_does_not_come_back_down_from_an_ancestor(linked: Session) -> None:
    found = graph(linked, "run")
    assert "run2" not in found.nodes
    assert found.nodes == ["deployment", "features", "flights", "model", "run", "weather"]


def test_depth_is_counted_in_edges(linked: Session) -> None:
    assert graph(linked, "model", "upstream", depth=1).edges == [LineageEdge("model", "run", "made_by")]
    assert graph(linked, "model", "upstream", depth=2).nodes == ["features", "model", "run"]


def test_a_thing_without_lineage_stands_alone(linked: Session) -> None:
    assert graph(linked, "nobody") == LineageGraph("nobody", ["nobody"], [])


def test_linking_again_changes_nothing(linked: Session) -> None:
    before = graph(linked, "model")
    lineage.link(linked, "model", "run", "made_by")
    assert graph(linked, "model") == before


def test_two_things_may_be_related_in_two_ways(linked: Session) -> None:
    lineage.link(linked, "model", "run", "packs")
    edges = graph(linked, "model", "upstream", depth=1).edges
    assert [edge.relation for edge in edges] == ["made_by", "packs"]


def test_a_circle_ends(session: Session) -> None:
    lineage.link(session, "a", "b", "derived_from")
    lineage.link(session, "b", "a", "derived_from")
    assert graph(session, "a", depth=100).nodes == ["a", "b"]


def test_a_wide_graph_is_asked_for_in_parts(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lineage, "_AT_ONCE", 7)
    for number in range(30):
        lineage.link(session, f"child{number}", "root", "derived_from")
        lineage.link(session, f"grandchild{number}", f"child{number}", "derived_from")
    assert len(graph(session, "root", "downstream").nodes) == 61


def test_the_use_case_gives_the_graph(platform: Platform) -> None:
    with platform.session().begin() as unit:
        lineage.link(unit, "model:default/delay@1", "run:default/abc", "made_by")
    found = platform.call("lineage.graph", {"urn": "run:default/abc", "direction": "downstream"})
    assert found.nodes == ["model:default/delay@1", "run:default/abc"]


@settings(max_examples=examples(40), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sets(st.tuples(st.integers(0, 7), st.integers(0, 7)).filter(lambda edge: edge[0] < edge[1]), max_size=20))
def test_upstream_is_the_transitive_closure(session: Session, edges: set[tuple[int, int]]) -> None:
    example = next(_examples)
    reached = {7}
    for _ in range(8):
        reached |= {source for source, target in edges if target in reached}
    for source, target in edges:
        lineage.link(session, f"{example}:{target}", f"{example}:{source}", "derived_from")
    found = graph(session, f"{example}:7", "upstream")
    assert found.nodes == sorted(f"{example}:{node}" for node in reached)
    assert len(found.edges) == sum(target in reached for _, target in edges)
