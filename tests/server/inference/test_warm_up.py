"""Warming up: what is served knows its pace before the first request, and nothing of that is logged."""

from __future__ import annotations

import pytest

from everloop.server.inference.dataplane import DataPlane
from everloop.server.inference.served import ServedEndpoint
from everloop.server.metrics import Metrics
from everloop.serving.configuration import Circuit, Configuration
from everloop.serving.inferencelog import LogReader
from tests.serving.conftest import World, world

__all__ = ["world"]


@pytest.mark.parametrize(
    ("configuration", "is_known"), [(Configuration(), True), (Configuration(circuit=Circuit()), False)]
)
def test_an_endpoint_without_circuits_knows_its_pace_before_the_first_request(
    world: World,
    configuration: Configuration,
    is_known: bool,
) -> None:
    world.register()
    world.create()
    asked = {"name": "delay", "version": 1, "configuration": configuration}
    deployed = world.platform.call("endpoints.deploy", asked)
    world.traffic((deployed.revision, 100, "stable"))
    plane = DataPlane([ServedEndpoint(world.predictor())], Metrics())
    plane.warm_up()
    assert (plane.turns[0].admission.pace.per_row > 0) == is_known
    assert LogReader(world.platform.resources.home, "default", "delay").since()[0] == []
