"""Endpoints: deployments never change, traffic moves in one transaction, and can be moved back."""

from __future__ import annotations

from datetime import timedelta

import pytest

from everloop.kernel.errors import Conflict, InvalidInput, NotFound, Refused
from everloop.serving.entities import Endpoint, FeedbackReceipt, Share
from tests.serving.conftest import World, plain


@pytest.fixture
def endpoint(world: World) -> Endpoint:
    """The endpoint `delay`, with three versions of its model."""
    for constant in (0.1, 0.2, 0.3):
        world.register(constant=constant)
    return world.create(version=1)


def traffic(world: World) -> list[tuple[int, float]]:
    return [(share.deployment, share.percent) for share in world.call("endpoints.get", name="delay").traffic]


def deploy(world: World, version: int) -> int:
    return world.call("endpoints.deploy", name="delay", version=version).revision


def kinds(world: World) -> list[str]:
    entries = world.call("audit.entries", kind="endpoints.")
    return [entry.kind.removeprefix("endpoints.") for entry in reversed(entries)]


def test_an_endpoint_begins_with_all_traffic_on_its_first_deployment(endpoint: Endpoint) -> None:
    assert (endpoint.traffic, endpoint.revision, endpoint.stable) == ((Share(1, 100.0),), 1, 1)


def test_the_newest_version_is_served_by_default(world: World) -> None:
    world.register()
    world.register()
    world.create()
    assert world.call("endpoints.deployments", name="delay")[0].version == 2


def test_a_name_is_given_once(world: World, endpoint: Endpoint) -> None:
    with pytest.raises(Conflict, match="already"):
        world.call("endpoints.create", name="delay", model="delay")


@pytest.mark.parametrize("use_case", ["get", "deployments", "traffic_history", "rollback", "predictions"])
def test_an_endpoint_that_there_is_not_is_named(world: World, use_case: str) -> None:
    with pytest.raises(NotFound, match="no endpoint 'nothing'"):
        world.call(f"endpoints.{use_case}", name="nothing")


def test_endpoints_are_listed_by_name(world: World, endpoint: Endpoint) -> None:
    world.create("arrivals")
    assert [found.name for found in world.call("endpoints.list")] == ["arrivals", "delay"]


def test_a_deployment_has_no_traffic_until_it_is_given_some(world: World, endpoint: Endpoint) -> None:
    assert deploy(world, 2) == 2
    assert traffic(world) == [(1, 100)]


def test_deploying_a_version_again_gives_the_same_deployment(world: World, endpoint: Endpoint) -> None:
    assert [deploy(world, 2), deploy(world, 3), deploy(world, 2), deploy(world, 1)] == [2, 3, 2, 1]
    assert len(world.call("endpoints.deployments", name="delay")) == 3


def test_a_deployment_fixes_the_models_bytes(world: World, endpoint: Endpoint) -> None:
    deployment = world.call("endpoints.deployments", name="delay")[0]
    version = world.call("models.version", name="delay", version=1)
    assert deployment.model_digest == version.trained.digest


def test_a_version_that_there_is_not_cannot_be_deployed(world: World, endpoint: Endpoint) -> None:
    with pytest.raises(NotFound, match="no version 9"):
        deploy(world, 9)


def test_a_version_trained_on_other_features_is_refused(world: World, endpoint: Endpoint, service: str) -> None:
    version = world.register(service=service, input="distance")
    with pytest.raises(Refused, match="trained on the features 'flight'"):
        deploy(world, version)


def test_traffic_moves_and_says_its_revision(world: World, endpoint: Endpoint) -> None:
    deploy(world, 2)
    moved = world.traffic((1, 95, "stable"), (2, 5, "canary"))
    assert moved.revision == 2
    assert traffic(world) == [(1, 95), (2, 5)]


def test_traffic_to_an_unknown_deployment_changes_nothing(world: World, endpoint: Endpoint) -> None:
    with pytest.raises(NotFound, match="no deployment 7"):
        world.traffic((1, 95, "stable"), (7, 5, "canary"))
    assert traffic(world) == [(1, 100)]


def test_traffic_that_moved_meanwhile_is_a_conflict(world: World, endpoint: Endpoint) -> None:
    deploy(world, 2)
    world.traffic((1, 95, "stable"), (2, 5, "canary"))
    shares = [{"deployment": 2, "percent": 100}]
    with pytest.raises(Conflict, match="revision 2, not 1"):
        world.call("endpoints.set_traffic", name="delay", shares=shares, expected_revision=1)
    world.call("endpoints.set_traffic", name="delay", shares=shares, expected_revision=2)
    assert traffic(world) == [(2, 100)]


def test_a_rollback_during_a_rollout_gives_everything_to_the_stable_one(world: World, endpoint: Endpoint) -> None:
    deploy(world, 2)
    for percent in (5, 25, 50):
        world.traffic((1, 100 - percent, "stable"), (2, percent, "canary"))
    world.call("endpoints.rollback", name="delay")
    assert traffic(world) == [(1, 100)]


def test_a_rollback_after_promotion_goes_back_past_the_rollouts_steps(world: World, endpoint: Endpoint) -> None:
    deploy(world, 2)
    world.traffic((1, 50, "stable"), (2, 50, "canary"))
    world.traffic((2, 100, "stable"))
    world.call("endpoints.rollback", name="delay")
    assert traffic(world) == [(1, 100)]


def test_rolling_back_again_goes_further_back(world: World, endpoint: Endpoint) -> None:
    for version in (2, 3):
        world.traffic((deploy(world, version), 100, "stable"))
    world.call("endpoints.rollback", name="delay")
    assert traffic(world) == [(2, 100)]
    world.call("endpoints.rollback", name="delay")
    assert traffic(world) == [(1, 100)]
    with pytest.raises(Refused, match="anything else"):
        world.call("endpoints.rollback", name="delay")


def test_a_rollback_drops_shadows(world: World, endpoint: Endpoint) -> None:
    world.traffic((1, 100, "stable"), (deploy(world, 2), 100, "shadow"))
    world.call("endpoints.rollback", name="delay")
    assert traffic(world) == [(1, 100)]


def test_a_rollback_restores_which_key_met_what(world: World, endpoint: Endpoint) -> None:
    world.traffic((deploy(world, 2), 100, "stable"))
    restored = world.call("endpoints.rollback", name="delay")
    assert restored.allocation == endpoint.allocation


def test_the_history_has_every_move_newest_first(world: World, endpoint: Endpoint) -> None:
    world.traffic((deploy(world, 2), 100, "stable"))
    world.call("endpoints.rollback", name="delay")
    history = world.call("endpoints.traffic_history", name="delay")
    assert [(change.revision, change.restored) for change in history] == [(3, 1), (2, 0), (1, 0)]


def test_every_change_is_in_the_ledger(world: World, endpoint: Endpoint) -> None:
    world.traffic((deploy(world, 2), 100, "stable"))
    world.call("endpoints.rollback", name="delay")
    assert kinds(world) == ["created", "deployed", "deployed", "traffic_moved", "rolled_back"]
    assert world.call("audit.verify").intact


def test_a_deployment_leads_to_its_model_and_its_endpoint(world: World, endpoint: Endpoint) -> None:
    graph = world.call("lineage.graph", urn="deployment:default/delay@1", direction="upstream", depth=1)
    found = {(edge.upstream, edge.relation) for edge in graph.edges}
    assert found == {("model:default/delay@1", "serves"), ("endpoint:default/delay", "part_of")}


def test_a_refused_endpoint_leaves_nothing_behind(world: World) -> None:
    world.register()
    with pytest.raises(NotFound):
        world.call("endpoints.create", name="delay", model="delay", version=5)
    assert world.call("endpoints.list") == []
    assert kinds(world) == []


def test_a_prediction_is_found_by_its_id_with_its_label(world: World) -> None:
    world.register(constant=0.25)
    world.create()
    answer = world.predictor().predict(plain(1.0, 2.0))
    found = world.call("endpoints.prediction", name="delay", id=answer.prediction_ids[1])
    assert (found.output, found.features, found.label) == (0.25, {"x": 2.0, "carrier": "AA"}, None)
    world.call("endpoints.feedback", name="delay", labels=[{"key": found.key, "value": 1.0}])
    labelled = world.call("endpoints.prediction", name="delay", id=found.id)
    assert (labelled.label, labelled.label_at) == (1.0, world.platform.resources.clock.now())


def test_an_unknown_prediction_is_not_found(world: World, endpoint: Endpoint) -> None:
    for wrong in ("x", "0" * 32 + "-0", "../../etc/passwd"):
        with pytest.raises(NotFound, match="logged no prediction"):
            world.call("endpoints.prediction", name="delay", id=wrong)


def test_predictions_are_paged_newest_first(world: World, endpoint: Endpoint) -> None:
    predictor = world.predictor()
    ids = []
    for _ in range(4):
        world.platform.resources.clock.advance(world.platform.resources.clock.now() + timedelta(days=20))
        ids += predictor.predict(plain(1.0, 2.0, 3.0)).prediction_ids
    first = world.call("endpoints.predictions", name="delay", limit=5)
    second = world.call("endpoints.predictions", name="delay", limit=100, before=first[-1].id)
    assert [record.id for record in (*first, *second)] == ids[::-1]


@pytest.mark.parametrize("limit", [0, -1, 10_001])
def test_a_page_has_a_limit(world: World, endpoint: Endpoint, limit: int) -> None:
    with pytest.raises(InvalidInput, match=str(limit)):
        world.call("endpoints.predictions", name="delay", limit=limit)


def test_feedback_says_what_was_new(world: World, endpoint: Endpoint) -> None:
    labels = [{"key": "a", "value": 1.0}, {"key": "b", "value": 0.0}]
    assert world.call("endpoints.feedback", name="delay", labels=labels) == FeedbackReceipt(2, 0)
    assert world.call("endpoints.feedback", name="delay", labels=labels) == FeedbackReceipt(0, 2)


def test_feedback_for_an_endpoint_that_there_is_not_leaves_no_file(world: World) -> None:
    with pytest.raises(NotFound):
        world.call("endpoints.feedback", name="nothing", labels=[{"key": "a", "value": 1.0}])
    assert not (world.platform.resources.home / "inference").exists()
