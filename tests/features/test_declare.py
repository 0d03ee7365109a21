"""How features are declared."""

from __future__ import annotations

from datetime import timedelta

import pytest

from everloop.features.declare import (
    Columns,
    Entity,
    Expression,
    FeatureService,
    FeatureView,
    Source,
    table,
    window,
)
from everloop.features.entities import Feature, RequestField, columns_of
from everloop.features.entities import FeatureView as View
from everloop.kernel.errors import InvalidInput

AIRPORT = Entity("airport", keys=["origin"])
HOURS = timedelta(hours=2)


def view_with(*expressions: Expression, **options: str) -> View:
    """A view of departures."""
    return FeatureView(
        "delays",
        entity=AIRPORT,
        source=table("departures"),
        features=lambda _: list(expressions),
        timestamp=options.get("timestamp", "departed"),
        ttl=options.get("ttl"),
        available_after=options.get("available_after", "0s"),
    )


def test_a_view_lists_columns_and_windows_of_its_source() -> None:
    view = FeatureView(
        "delays",
        entity=AIRPORT,
        source=table("departures"),
        timestamp="departed",
        ttl="3h",
        available_after="30m",
        features=lambda t: [t.wind, window(t.delay.mean(), "2h"), window(t.count(), "2h").named("traffic")],
    )
    assert view.features == (
        Feature("wind", "wind"),
        Feature("delay_mean_2h", "delay", "mean", HOURS),
        Feature("traffic", "", "count", HOURS),
    )
    assert (view.source, view.ttl, view.available_after) == ("departures", timedelta(hours=3), timedelta(minutes=30))


@pytest.mark.parametrize("aggregation", ["mean", "sum", "min", "max", "last", "std", "share"])
def test_a_window_is_named_after_what_it_holds(aggregation: str) -> None:
    expression = getattr(Columns().delay, aggregation)()
    assert window(expression, "24h").name == f"delay_{aggregation}_24h"
    assert window(expression, timedelta(minutes=90)).name == f"delay_{aggregation}_1.5h".replace("1.5h", "90m")


def test_a_name_given_before_the_window_stays() -> None:
    assert window(Columns().delay.mean().named("late"), "2h").name == "late"


def test_columns_with_odd_names_are_reached_by_brackets() -> None:
    assert Columns()["count"] == Expression("count")
    assert Columns()["wind speed"].named("wind").column == "wind speed"


def test_a_service_gives_its_views_columns_and_then_the_requests() -> None:
    service = FeatureService("delay", views=[view_with(Columns().wind)], request={"distance": "float64"})
    assert service.request == (RequestField("distance", "float64"),)
    assert columns_of(service) == ("delays.wind", "distance")


def test_a_source_can_be_named_plainly() -> None:
    assert table("weather") == Source("weather")
    assert FeatureView("v", entity=AIRPORT, source="weather", features=lambda t: [t.wind]).source == "weather"


@pytest.mark.parametrize("over", ["two hours", "", "2", "99999999999d"])
def test_a_duration_that_cannot_be_read_is_refused(over: str) -> None:
    with pytest.raises(InvalidInput, match="A window"):
        window(Columns().delay.mean(), over)


@pytest.mark.parametrize(
    ("option", "said"), [("ttl", "The ttl of view 'delays'"), ("available_after", "of view 'delays'")]
)
def test_a_wrong_duration_names_the_view(option: str, said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        view_with(Columns().wind, **{option: "soon"})


def test_a_window_needs_an_aggregation_and_an_aggregation_a_window() -> None:
    with pytest.raises(InvalidInput, match="needs an aggregation"):
        window(Columns().delay, "2h")
    with pytest.raises(InvalidInput, match="View 'delays' has mean of delay without a window"):
        view_with(Columns().delay.mean())


def test_a_feature_is_an_expression_and_features_are_a_list() -> None:
    with pytest.raises(InvalidInput, match="lists 'wind', which is no feature"):
        FeatureView("v", entity=AIRPORT, source="w", features=lambda _: ["wind"])  # type: ignore[list-item]
    with pytest.raises(InvalidInput, match="The features of view 'v' are no list"):
        FeatureView("v", entity=AIRPORT, source="w", features=lambda t: t.wind)  # type: ignore[arg-type,return-value]


def test_keys_are_a_list_of_texts() -> None:
    with pytest.raises(InvalidInput, match=r"The keys of entity 'airport' are one text"):
        Entity("airport", keys="origin")


def test_a_request_field_has_a_type_that_exists() -> None:
    with pytest.raises(InvalidInput, match="'distance' of service 's' has type 'decimal'"):
        FeatureService("s", views=[], request={"distance": "decimal"})
