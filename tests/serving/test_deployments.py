"""Deployments: immutable revisions of model, configuration and resources."""

from __future__ import annotations

import pytest

from everloop.kernel.errors import InvalidInput, NotFound, Refused
from everloop.serving.configuration import Configuration, OtherVersion
from everloop.serving.entities import Deployment
from everloop.serving.nodes import Ensemble, Member
from tests.serving.conftest import World

CONSTANT = {"fallback": {"kind": "constant", "value": 0.2}}
MEAN = {"graph": {"kind": "ensemble", "members": [{"kind": "member"}, {"kind": "member", "model": "other"}]}}


@pytest.fixture
def deployed(world: World) -> World:
    """An endpoint with version 1, a version 2, and another model."""
    world.register(constant=0.1)
    world.create()
    world.register(constant=0.5)
    world.register("other", constant=0.9)
    return world


def deploy(world: World, **arguments: object) -> Deployment:
    return world.call("endpoints.deploy", **{"name": "delay", "version": 2} | arguments)


def test_the_same_again_is_the_same_deployment(deployed: World) -> None:
    first = deploy(deployed, configuration=CONSTANT, resources={"cpu": 2})
    assert deploy(deployed, configuration=CONSTANT, resources={"cpu": 2}) == first
    assert first.revision == 2


def test_another_configuration_is_another_deployment_of_the_same_version(deployed: World) -> None:
    first, second = deploy(deployed), deploy(deployed, configuration=CONSTANT)
    assert (second.version, second.revision) == (first.version, first.revision + 1)
    assert deployed.call("endpoints.deployments", name="delay")[1] == first


def test_other_resources_are_another_deployment(deployed: World) -> None:
    assert deploy(deployed, resources={"memory_mb": 512}).revision != deploy(deployed, resources={"gpu": 1}).revision


def test_a_version_keeps_the_configuration_that_it_was_last_deployed_with(deployed: World) -> None:
    configured = deploy(deployed, configuration=CONSTANT)
    assert deploy(deployed) == configured


def test_a_new_version_takes_over_the_configuration_of_the_stable_deployment(deployed: World) -> None:
    stable = deploy(deployed, version=1, configuration=CONSTANT)
    deployed.traffic((stable.revision, 100, "stable"))
    assert deploy(deployed, version=2).configuration == stable.configuration


def test_a_rollback_moves_the_traffic_and_changes_no_deployment(deployed: World) -> None:
    made = deploy(deployed, configuration=CONSTANT)
    deployed.traffic((made.revision, 100, "stable"))
    before = deployed.call("endpoints.deployments", name="delay")
    assert deployed.call("endpoints.rollback", name="delay").stable == 1
    assert deployed.call("endpoints.deployments", name="delay") == before


def test_an_alias_in_a_graph_is_pinned_when_it_is_deployed(deployed: World) -> None:
    deployed.call("models.set_alias", name="other", alias="good", version=1)
    wanted = {"graph": {"kind": "ensemble", "members": [{"kind": "member", "model": "other", "alias": "good"}]}}
    first = deploy(deployed, configuration=wanted)
    deployed.register("other", constant=0.3)
    deployed.call("models.set_alias", name="other", alias="good", version=2)
    graph = first.configuration.graph
    assert isinstance(graph, Ensemble)
    assert isinstance(graph.members[0], Member)
    assert (graph.members[0].pinned, len(graph.members[0].digest)) == (1, 64)
    assert deploy(deployed, configuration=wanted).revision == first.revision + 1


def test_what_a_deployment_is_made_of_stands_in_the_lineage(deployed: World) -> None:
    deploy(deployed, configuration=MEAN)
    edges = deployed.call("lineage.graph", urn="deployment:default/delay@2", direction="upstream").edges
    found = {edge.upstream for edge in edges}
    assert {urn.rpartition(":")[2].partition("/")[2] for urn in found} >= {"delay@2", "other@1"}


def test_a_version_falls_back_to_the_stable_one_unless_another_is_named(deployed: World) -> None:
    found = deploy(deployed, configuration={"fallback": {"kind": "version"}}).configuration.fallback
    assert isinstance(found, OtherVersion)
    assert found.pinned == 1


@pytest.mark.parametrize(
    ("configuration", "why"),
    [
        ({"fallback": {"kind": "rule", "expression": "y + 1"}}, "no column 'y'"),
        ({"fallback": {"kind": "rule", "expression": "x > 1"}}, "gives a truth"),
        ({"fallback": {"kind": "endpoint", "endpoint": "delay"}}, "itself"),
        ({"fallback": {"kind": "version", "version": 2}}, "no version before"),
        ({"fallback": {"kind": "magic"}}, "kind"),
        ({"graph": {"kind": "ensemble", "members": [{"kind": "member"}], "weights": [1, 2]}}, "weights"),
        ({"graph": {"kind": "member", "alias": "champion"}}, "of no model"),
        ({"warm_up": [{"z": 1}]}, "warm-up row has z"),
        ({"warm_up": [{"x": "text"}]}, "for 'x'"),
        ({"interval": 1.5}, "interval"),
        ({"timeout_ms": -1}, "timeout_ms"),
        ({"circut": {}}, "circut"),
        ({"circuit": {"rate": 0}}, "rate"),
    ],
)
def test_a_configuration_that_cannot_work_is_refused_and_says_why(
    deployed: World, configuration: dict[str, object], why: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        deploy(deployed, configuration=configuration)
    assert why in caught.value.message
    assert len(deployed.call("endpoints.deployments", name="delay")) == 1


def test_what_is_not_there_cannot_be_part_of_a_deployment(deployed: World) -> None:
    for part in ({"kind": "member", "model": "nobody"}, {"kind": "member", "model": "other", "version": 9}):
        with pytest.raises(NotFound):
            deploy(deployed, configuration={"graph": part})
    with pytest.raises(InvalidInput, match="no package"):
        deploy(deployed, package="0" * 64)


def test_a_model_with_several_outputs_is_no_member_of_a_graph(deployed: World) -> None:
    deployed.register("named", constant=0.9, is_named=True)
    with pytest.raises(Refused, match="one number a row"):
        deploy(deployed, configuration={"graph": {"kind": "member", "model": "named"}})


def test_a_version_without_a_calibration_gives_no_intervals(deployed: World) -> None:
    with pytest.raises(Refused, match="no intervals") as caught:
        deploy(deployed, configuration={"interval": 0.1})
    assert "everloop models calibrate delay 2" in caught.value.hint


def test_deployments_of_before_there_was_a_configuration_have_the_default() -> None:
    import msgspec

    assert msgspec.json.decode(b"{}", type=Configuration) == Configuration()
