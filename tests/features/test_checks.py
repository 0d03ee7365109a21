"""What is refused when features are applied."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from everloop.catalog.session import Session
from everloop.features.declare import Columns, Entity, Expression, FeatureService, FeatureView, window
from everloop.features.entities import NO_TIME, Feature
from everloop.features.entities import FeatureService as Service
from everloop.features.entities import FeatureView as View
from everloop.features.service import apply, services, views
from everloop.kernel.errors import InvalidInput

pytestmark = pytest.mark.usefixtures("departures")
DELAY = Columns().delay


def view_with(*expressions: Expression, name: str = "v", key: str = "origin", timestamp: str = "departed") -> View:
    """A view of the departures."""
    return FeatureView(
        name,
        entity=Entity("airport", keys=[key]),
        source="departures",
        timestamp=timestamp,
        features=lambda _: list(expressions),
    )


def refused(session: Session, *applied: View | Service) -> str:
    """What is said when views (each in a service of its own) or services are applied."""
    wrapped = [FeatureService(f"s{at}", views=[it]) if isinstance(it, View) else it for at, it in enumerate(applied)]
    with pytest.raises(InvalidInput) as caught:
        apply(session, tuple(wrapped))
    assert not services(session)
    assert not views(session)
    return str(caught.value)


def test_an_unknown_dataset_is_named_with_those_there_are(session: Session) -> None:
    said = refused(session, msgspec.structs.replace(view_with(DELAY), source="weather"))
    assert said.startswith("View 'v' reads dataset 'weather', which is not there.")
    assert said.endswith("Keep it first: everloop add weather.csv. There is departures.")


@pytest.mark.parametrize(
    "view",
    [view_with(Columns().dealy), view_with(DELAY, key="dealy"), view_with(DELAY, timestamp="dealy")],
    ids=["feature", "key", "timestamp"],
)
def test_an_unknown_column_is_named_with_those_there_are(session: Session, view: View) -> None:
    said = refused(session, view)
    assert said.startswith("View 'v' reads column 'dealy', which 'departures' has not.")
    assert said.endswith("It has origin, departed, delay, gate, carrier.")


def test_a_text_is_no_feature(session: Session) -> None:
    said = refused(session, view_with(Columns().carrier))
    assert "Column 'carrier' of 'departures' has type string; in view 'v' it is a feature" in said


def test_a_number_is_no_timestamp(session: Session) -> None:
    said = refused(session, view_with(DELAY, timestamp="gate"))
    assert "Column 'gate' of 'departures' has type int64; in view 'v' it is the timestamp" in said


def test_a_fraction_is_no_key(session: Session) -> None:
    assert "has type float64; in view 'v' it is a key" in refused(session, view_with(DELAY, key="delay"))


def test_a_view_without_features_and_a_service_without_views_are_refused(session: Session) -> None:
    assert "View 'v' has no features" in refused(session, view_with())
    assert "Feature service 's' has no views" in refused(session, FeatureService("s", views=[]))
    keyless = msgspec.structs.replace(view_with(DELAY), entity=Entity("airport", keys=[]))
    assert "Entity 'airport' of view 'v' has no keys" in refused(session, keyless)


def test_nothing_is_called_twice(session: Session) -> None:
    twice = FeatureService("s", views=[view_with(DELAY), view_with(DELAY)])
    assert "Two views of service 's' are called 'v'" in refused(session, twice)
    assert "Two features of view 'v' are called 'delay'" in refused(session, view_with(DELAY, DELAY))
    once = FeatureService("s", views=[view_with(DELAY)])
    assert "Two services are called 's'" in refused(session, once, once)
    shadowed = FeatureService("s", views=[view_with(DELAY)], request={"v.delay": "float64"})
    assert "Two columns of service 's' are called 'v.delay'" in refused(session, shadowed)
    keys = msgspec.structs.replace(view_with(DELAY), entity=Entity("airport", keys=["origin", "origin"]))
    assert "Two keys of entity 'airport' are called 'origin'" in refused(session, keys)


def test_one_view_is_not_declared_in_two_ways(session: Session) -> None:
    assert "View 'v' is declared in two ways" in refused(session, view_with(DELAY), view_with(Columns().gate))


def test_spans_are_not_negative(session: Session) -> None:
    for field in ("ttl", "available_after"):
        view = msgspec.structs.replace(view_with(DELAY), **{field: -timedelta(hours=1)})
        assert f"The {field} of view 'v' is -1 day, 23:00:00" in refused(session, view)
    assert "looks back 0:00:00" in refused(session, view_with(window(DELAY.mean(), "0s")))


def test_a_window_that_would_always_be_empty_is_refused(session: Session) -> None:
    view = msgspec.structs.replace(view_with(window(DELAY.mean(), "1h")), available_after=timedelta(hours=1))
    assert "Feature 'delay_mean_1h' of view 'v' looks back 1:00:00" in refused(session, view)


def test_without_a_timestamp_there_are_no_windows_and_no_ttl(session: Session) -> None:
    assert "is a window over rows without time" in refused(session, view_with(window(DELAY.mean(), "1h"), timestamp=""))
    view = msgspec.structs.replace(view_with(DELAY, timestamp=""), ttl=NO_TIME)
    assert "has a ttl or available_after, and no timestamp" in refused(session, view)


@pytest.mark.parametrize("name", ["", "_x", "a b", "x" * 129, "ä"])
def test_names_are_names(session: Session, name: str) -> None:
    assert "is no name for a feature view" in refused(session, view_with(DELAY, name=name))
    assert "is no name for a feature of view 'v'" in refused(session, view_with(DELAY.named(name or " ")))


@pytest.mark.parametrize(
    "feature",
    [Feature("f", "delay", "mean"), Feature("f", "delay", "", timedelta(1)), Feature("f", "", "mean", timedelta(1))],
)
def test_half_a_window_is_refused(session: Session, feature: Feature) -> None:
    said = refused(session, msgspec.structs.replace(view_with(DELAY), features=(feature,)))
    assert said.startswith("Feature 'f' of view 'v'")
