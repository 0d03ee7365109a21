"""A subject is found in the online store, under its key and no other."""

from __future__ import annotations

from everloop.app.platform import Platform
from everloop.datasets.splits.entities import Sighting, Subject
from everloop.features.subjects import OnlineSubjects
from tests.features.test_service import apply, loaded, service
from tests.features.worlds import moment

__all__ = ["loaded"]


def found(platform: Platform, value: str, column: str = "origin") -> list[Sighting]:
    return list(OnlineSubjects().find(platform.session(), Subject(column, value)))


def materialized(platform: Platform) -> None:
    apply(platform, service())
    platform.call("features.materialize", {"service": "delay", "until": moment(60)})


def test_an_entity_is_found_by_its_key(loaded: Platform) -> None:
    materialized(loaded)
    assert found(loaded, "EWR") == [
        Sighting("feature_service:default/delay@1", 1, "values of view delays in the online store")
    ]


def test_a_stranger_is_not(loaded: Platform) -> None:
    materialized(loaded)
    assert found(loaded, "LGA") == []


def test_a_column_that_is_no_key_leads_nowhere(loaded: Platform) -> None:
    materialized(loaded)
    assert found(loaded, "EWR", column="carrier") == []


def test_nothing_is_found_where_nothing_was_materialized(loaded: Platform) -> None:
    apply(loaded, service())
    assert found(loaded, "EWR") == []


def test_the_report_of_a_subject_tells_of_it(loaded: Platform) -> None:
    materialized(loaded)
    report = loaded.call("datasets.subject", {"name": "departures", "column": "origin", "value": "EWR"})
    assert [(seen.urn, seen.count) for seen in report.sightings] == [("feature_service:default/delay@1", 1)]
