"""Variants: what a deployment needs, and what a request has to bring along for it."""

from __future__ import annotations

import pyarrow as pa
import pytest

from everloop.datasets.content import write_table
from everloop.features import service as features
from everloop.features.declare import Entity, FeatureService, FeatureView, table
from everloop.kernel.errors import NotFound
from everloop.serving.variants import Routing, load_routing
from tests.serving.conftest import World


def routing(world: World, before: Routing | None = None) -> Routing:
    return load_routing(world.platform.session(), "delay", before)


def inputs(world: World) -> list[tuple[str, str]]:
    return [(field.name, field.type) for field in routing(world).inputs]


def test_a_model_without_features_takes_everything_from_the_request(world: World) -> None:
    world.register()
    world.create(label_key="flight_id")
    assert inputs(world) == [("x", "float64"), ("carrier", "string"), ("flight_id", "string")]


def test_a_view_takes_its_key_from_the_request_and_gives_the_rest(world: World, service: str) -> None:
    world.register(service=service, input="distance")
    world.create(label_key="flight_id")
    assert inputs(world) == [("origin", "string"), ("distance", "float64"), ("flight_id", "string")]
    assert routing(world).entities == ("origin",)


def test_a_label_key_that_is_an_input_too_is_asked_for_once(world: World) -> None:
    world.register()
    world.create(label_key="carrier")
    assert inputs(world) == [("x", "float64"), ("carrier", "string")]


def test_a_key_has_the_type_that_its_source_has(world: World) -> None:
    write_table(world.platform.session(), "planes", pa.table({"plane": [1, 2], "seats": [100.0, 200.0]}))
    view = FeatureView(
        "planes", entity=Entity("plane", keys=["plane"]), source=table("planes"), features=lambda t: [t.seats]
    )
    with world.platform.session().begin() as unit:
        features.apply(unit, (FeatureService("flight", views=[view], request={}),))
    world.register()
    world.create(features="flight")
    assert ("plane", "int64") in inputs(world)


def test_nothing_is_loaded_again_while_nothing_moves(world: World) -> None:
    world.register()
    world.create()
    first = routing(world)
    assert routing(world, first) is first
    world.canary(10)
    assert routing(world, first) is not first


def test_a_canary_without_traffic_is_not_loaded(world: World) -> None:
    world.register()
    world.create()
    world.canary(0)
    assert list(routing(world).answering) == [1]


def test_the_log_has_the_inputs_of_every_variant(world: World, service: str) -> None:
    world.register(service=service, input="distance")
    world.create(features=service)
    assert "feature:airport_weather.wind" in routing(world).log.schema.names
    assert "entity:origin" in routing(world).log.schema.names


def test_an_endpoint_that_there_is_not_is_named(world: World) -> None:
    with pytest.raises(NotFound, match="no endpoint 'delay'"):
        routing(world)
