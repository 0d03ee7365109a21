"""Endpoints that a project declares: made when there is a version, then held to what is declared."""

from __future__ import annotations

import pytest

import everloop as el
from everloop.app.project import Declarations, apply
from everloop.kernel.errors import Conflict, InvalidInput
from everloop.serving.entities import AppliedEndpoint, EndpointDeclaration
from tests.serving.conftest import World, plain

GUARDED = el.Configuration(timeout_ms=500, fallback=el.Constant(0.2))


def applied(world: World, *declared: EndpointDeclaration) -> list[AppliedEndpoint]:
    return apply(world.platform, Declarations((), (), (), endpoints=declared)).endpoints


def test_an_endpoint_waits_for_a_version_of_its_model(world: World) -> None:
    assert applied(world, el.Endpoint("delay"))[0].status == "waiting"
    assert world.call("endpoints.list") == []


def test_an_endpoint_is_made_with_its_configuration(world: World) -> None:
    world.register(raises=True)
    assert applied(world, el.Endpoint("delay", configuration=GUARDED))[0].status == "created"
    assert world.predictor().predict(plain(1.0)).outputs.tolist() == [0.2]


def test_the_same_declaration_again_changes_nothing(world: World) -> None:
    world.register()
    first = applied(world, el.Endpoint("delay", configuration=GUARDED))
    before = world.call("endpoints.get", name="delay")
    again = applied(world, el.Endpoint("delay", configuration=GUARDED))
    assert (again[0].status, again[0].deployment) == ("unchanged", first[0].deployment)
    assert world.call("endpoints.get", name="delay") == before


def test_another_configuration_is_deployed_and_gets_the_traffic(world: World) -> None:
    world.register()
    applied(world, el.Endpoint("delay"))
    found = applied(world, el.Endpoint("delay", configuration=GUARDED, resources=el.Resources(cpu=2)))[0]
    assert (found.status, found.deployment) == ("moved", 2)
    assert world.call("endpoints.get", name="delay").stable == 2


def test_nothing_moves_while_the_traffic_is_divided(world: World) -> None:
    world.register()
    applied(world, el.Endpoint("delay"))
    world.canary(10.0)
    assert applied(world, el.Endpoint("delay", configuration=GUARDED))[0].status == "deployed"
    assert world.call("endpoints.get", name="delay").stable == 1


def test_the_log_policy_is_what_is_declared(world: World) -> None:
    world.register()
    applied(world, el.Endpoint("delay", log=el.LogPolicy(sample=0.5)))
    assert world.call("endpoints.get", name="delay").log.sample == 0.5


def test_an_endpoint_keeps_its_model(world: World) -> None:
    world.register()
    applied(world, el.Endpoint("delay"))
    with pytest.raises(Conflict, match="declared are 'other'"):
        applied(world, el.Endpoint("delay", model="other"))


def test_a_declaration_that_cannot_work_changes_nothing(world: World) -> None:
    world.register()
    broken = el.Configuration(fallback=el.Rule("nothing + 1"))
    with pytest.raises(InvalidInput, match="no column"):
        applied(world, el.Endpoint("delay", configuration=broken))
    assert world.call("endpoints.list") == []
