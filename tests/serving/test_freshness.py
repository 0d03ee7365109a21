"""Freshness: what endpoints read online is what is known now."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pyarrow as pa
import pytest

from everloop.datasets.content import write_table
from everloop.features.declare import Entity, FeatureService, FeatureView, table
from everloop.kernel.clock import SimulatedClock
from everloop.serving.freshness import EVERY, FeatureKeeper
from tests.serving.conftest import HOUR, World, column


@pytest.fixture
def fed(world: World, service: str, clock: SimulatedClock) -> World:
    """An endpoint that answers with the wind."""
    world.register(service=service, input="airport_weather.wind", factor=1.0)
    world.create()
    return world


@pytest.fixture
def keeper(fed: World) -> FeatureKeeper:
    """What keeps its features."""
    return FeatureKeeper(fed.platform.session())


def wind(world: World) -> float:
    """What the endpoint answers about JFK now."""
    origin = np.array(["JFK"], dtype=object)
    return float(world.predictor().predict({"origin": origin, "distance": column(1.0)}).outputs[0])


def report(world: World, hour: int, value: float) -> None:
    """The next version of the weather: one reading at JFK."""
    at = pa.array([HOUR + timedelta(hours=hour)], pa.timestamp("us", "UTC"))
    write_table(world.platform.session(), "weather", pa.table({"origin": ["JFK"], "at": at, "wind": [value]}))


def test_new_data_reaches_the_endpoint(fed: World, keeper: FeatureKeeper, clock: SimulatedClock) -> None:
    keeper.keep()
    assert wind(fed) == 10.0
    report(fed, 1, 30.0)
    clock.advance(HOUR + timedelta(hours=2))
    assert keeper.keep() == 1
    assert wind(fed) == 30.0


def test_what_becomes_known_later_reaches_it_then(fed: World, keeper: FeatureKeeper, clock: SimulatedClock) -> None:
    report(fed, 2, 40.0)
    clock.advance(HOUR + timedelta(hours=1))
    assert keeper.keep() == 0
    clock.advance(HOUR + timedelta(hours=2))
    assert keeper.keep() == 1
    assert wind(fed) == 40.0


def test_it_looks_now_and_then_and_at_once_when_traffic_moves(
    fed: World, keeper: FeatureKeeper, clock: SimulatedClock
) -> None:
    keeper.keep()
    report(fed, 0, 50.0)
    clock.advance(HOUR + EVERY / 2)
    assert keeper.keep() == 0
    fed.create("second")
    assert keeper.keep() == 1


def test_a_version_of_the_features_that_is_still_served_stays_fresh(
    fed: World, keeper: FeatureKeeper, clock: SimulatedClock
) -> None:
    view = FeatureView(
        "airport_weather",
        entity=Entity("airport", keys=["origin"]),
        source=table("weather"),
        timestamp="at",
        features=lambda t: [t.wind],
    )
    declared = FeatureService("flight", views=[view], request={"distance": "float64", "origin": "string"})
    fed.call("features.apply", services=(declared,))
    report(fed, 1, 60.0)
    clock.advance(HOUR + timedelta(hours=1))
    keeper.keep()
    assert wind(fed) == 60.0


def test_an_endpoint_without_features_costs_nothing(world: World) -> None:
    world.register()
    world.create()
    assert FeatureKeeper(world.platform.session()).keep() == 0
