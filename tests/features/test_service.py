"""The use cases of features."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from everloop.app.platform import Platform
from everloop.catalog.session import Session
from everloop.datasets.content import read_table, write_table
from everloop.datasets.entities import Snapshot
from everloop.features.declare import Entity, FeatureService, FeatureView, window
from everloop.features.entities import AppliedService, Materialization, PinnedFeatures
from everloop.features.entities import FeatureService as Service
from everloop.kernel.clock import SimulatedClock
from everloop.kernel.errors import InvalidInput, NotFound
from tests.features.worlds import moment


def service(over: str = "30m", name: str = "delay") -> Service:
    """A service with one view of the departures."""
    view = FeatureView(
        "delays",
        entity=Entity("airport", keys=["origin"]),
        source="departures",
        timestamp="departed",
        ttl="20m",
        features=lambda t: [t.delay, window(t.delay.mean(), over).named("mean"), window(t.count(), over).named("n")],
    )
    return FeatureService(name, views=[view], request={"distance": "float64"})


@pytest.fixture
def loaded(platform: Platform, home: Path) -> Platform:
    """A platform with the departures, and nothing applied."""
    stamps = pa.array([moment(minute) for minute in (0, 10, 20)], pa.timestamp("us", "UTC"))
    rows = pa.table({"origin": ["EWR", "JFK", "EWR"], "departed": stamps, "delay": [4.0, 8.0, 6.0]})
    write_table(platform.session(), "departures", rows)
    return platform


def apply(platform: Platform, *services: Service) -> list[AppliedService]:
    """Apply services by the door that all doors use."""
    applied: list[AppliedService] = platform.call("features.apply", {"services": services})
    return applied


def test_an_unchanged_service_keeps_its_version_and_a_changed_one_gets_the_next(loaded: Platform) -> None:
    assert [applied.version for applied in apply(loaded, service())] == [1]
    assert [applied.version for applied in apply(loaded, service())] == [1]
    assert [applied.version for applied in apply(loaded, service("1h"))] == [2]
    assert [applied.version for applied in apply(loaded, service())] == [3]


def test_versions_never_change(loaded: Platform) -> None:
    apply(loaded, service())
    apply(loaded, service("1h"))
    assert loaded.call("features.service", {"name": "delay", "version": 1}) == service()
    assert loaded.call("features.service", {"name": "delay"}) == service("1h")


def test_lists_give_the_newest_versions(loaded: Platform) -> None:
    apply(loaded, service(), service(name="other"))
    apply(loaded, service("1h"))
    listed = loaded.call("features.services", {})
    assert [(applied.name, applied.version) for applied in listed] == [("delay", 2), ("other", 1)]
    assert [(applied.name, applied.version) for applied in loaded.call("features.views", {})] == [("delays", 2)]


def test_applying_leaves_events_and_lineage(loaded: Platform) -> None:
    apply(loaded, service())
    entries = loaded.call("audit.entries", {"kind": "features."})
    assert [entry.kind for entry in entries] == ["features.service_applied", "features.view_applied"]
    graph = loaded.call("lineage.graph", {"urn": "feature_service:default/delay@1", "direction": "upstream"})
    assert graph.nodes == [
        "dataset:default/departures@1",
        "feature_service:default/delay@1",
        "feature_view:default/delays@1",
    ]


def test_a_pin_names_the_newest_snapshots(loaded: Platform) -> None:
    apply(loaded, service())
    pinned: PinnedFeatures = loaded.call("features.pin", {"service": "delay"})
    assert pinned.columns == ("delays.delay", "delays.mean", "delays.n", "distance")
    assert (pinned.version, pinned.sources["delays"].version, pinned.project) == (1, 1, "default")


def test_a_service_that_is_not_there_is_not_found(loaded: Platform) -> None:
    with pytest.raises(NotFound, match="no feature service 'delay'"):
        loaded.call("features.pin", {"service": "delay"})
    apply(loaded, service())
    with pytest.raises(NotFound, match="no version 7 of feature service 'delay'"):
        loaded.call("features.service", {"name": "delay", "version": 7})


def test_a_training_set_is_a_snapshot_that_knows_where_it_came_from(loaded: Platform) -> None:
    apply(loaded, service())
    asked = pa.array([moment(5), moment(25)], pa.timestamp("us", "UTC"))
    write_table(loaded.session(), "flights", pa.table({"origin": ["EWR", "EWR"], "at": asked}))
    arguments = {"service": "delay", "dataset": "flights@1", "at": "at", "name": "examples"}
    snapshot: Snapshot = loaded.call("features.training_set", arguments)
    assert snapshot.parents == ("dataset:default/flights@1", "dataset:default/departures@1")
    rows = read_table(loaded.session(), snapshot).to_pylist()
    assert [(row["delays.delay"], row["delays.mean"], row["delays.n"]) for row in rows] == [
        (4.0, 4.0, 1.0),
        (6.0, 5.0, 2.0),
    ]
    graph = loaded.call("lineage.graph", {"urn": "dataset:default/examples@1", "direction": "upstream"})
    assert "feature_service:default/delay@1" in graph.nodes


def test_what_was_materialized_can_be_looked_up(loaded: Platform) -> None:
    apply(loaded, service())
    done: Materialization = loaded.call("features.materialize", {"service": "delay", "until": moment(25)})
    assert (done.rows, done.until) == (2, moment(25))
    found = loaded.call("features.lookup", {"service": "delay", "keys": {"origin": ["EWR", "LGA"]}, "at": moment(25)})
    assert found == [
        {"delays.delay": 6.0, "delays.mean": 5.0, "delays.n": 2.0},
        {"delays.delay": None, "delays.mean": None, "delays.n": 0.0},
    ]


def test_without_a_moment_it_is_now(loaded: Platform, clock: SimulatedClock) -> None:
    apply(loaded, service())
    clock.advance(moment(12))
    assert loaded.call("features.materialize", {"service": "delay"}).until == moment(12)
    lookup = {"service": "delay", "keys": {"origin": ["JFK"]}}
    assert loaded.call("features.lookup", lookup)[0]["delays.delay"] == 8.0
    clock.advance(moment(12) + timedelta(minutes=20))
    assert loaded.call("features.lookup", lookup)[0]["delays.delay"] is None


def test_materializations_are_listed_newest_first_and_are_in_the_ledger(
    loaded: Platform, clock: SimulatedClock
) -> None:
    apply(loaded, service())
    for minute in (5, 15):
        clock.advance(moment(minute))
        loaded.call("features.materialize", {"service": "delay"})
    listed = loaded.call("features.materializations", {"service": "delay"})
    assert [done.until for done in listed] == [moment(15), moment(5)]
    assert len(loaded.call("audit.entries", {"kind": "features.materialized"})) == 2


def test_numbers_as_keys_are_read_from_text(session: Session, platform: Platform) -> None:
    write_table(session, "gates", pa.table({"gate": [7], "size": [3]}))
    view = FeatureView("gates", entity=Entity("gate", keys=["gate"]), source="gates", features=lambda t: [t.size])
    from everloop.features.service import apply, lookup, materialize

    apply(session, (FeatureService("g", views=[view]),))
    materialize(session, "g")
    assert lookup(session, "g", {"gate": ["7", "8"]}) == [{"gates.size": 3.0}, {"gates.size": None}]
    with pytest.raises(InvalidInput, match="Key 'gate' is 'x'"):
        lookup(session, "g", {"gate": ["x"]})
