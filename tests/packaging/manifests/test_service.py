"""Manifests of registered versions and of endpoints, as the use cases give them."""

from __future__ import annotations

from typing import Any, get_args

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from everloop.app.platform import Platform
from everloop.kernel.errors import InvalidInput, NotFound, Refused
from everloop.packaging.manifests.entities import ManifestKind, Manifests
from everloop.registry.entities import Model
from tests.packaging.manifests.conftest import of_kind

IMAGE = "registry.test/delay"


def asked(platform: Platform, usecase: str = "packages.manifest", **arguments: Any) -> Manifests:
    named = {"model": "delay"} if usecase == "packages.manifest" else {"name": "delay"}
    found: Manifests = platform.call(usecase, named | arguments)
    return found


def objects(found: Manifests) -> list[Any]:
    return [each for text in found.files.values() for each in yaml.safe_load_all(text)]


@pytest.fixture
def endpoint(registered: Platform, trained_apart: Model) -> Platform:
    """The platform with an endpoint that divides its traffic between two versions."""
    registered.call("models.register", {"name": "delay", "trained": trained_apart})
    registered.call("endpoints.create", {"name": "delay", "model": "delay", "version": 1})
    registered.call("endpoints.deploy", {"name": "delay", "version": 2})
    shares = [{"deployment": 2, "percent": 5, "role": "canary"}, {"deployment": 1, "percent": 95, "role": "stable"}]
    registered.call("endpoints.set_traffic", {"name": "delay", "shares": shares})
    return registered


@pytest.mark.parametrize("kind", get_args(ManifestKind))
def test_every_kind_can_be_had_of_a_version_and_says_which_model_it_is(registered: Platform, kind: str) -> None:
    found = asked(registered, kind=kind, image=IMAGE)
    assert found.kind == kind
    assert found.files
    assert all(text.endswith("\n") for text in found.files.values())
    assert "delay" in "".join(found.files.values())


@pytest.mark.parametrize("kind", get_args(ManifestKind))
def test_the_same_question_has_the_same_answer(registered: Platform, kind: str) -> None:
    assert asked(registered, kind=kind) == asked(registered, kind=kind)


def test_a_manifest_fixes_the_models_bytes(registered: Platform) -> None:
    (deployment,) = of_kind(objects(asked(registered)), "Deployment")
    digest = registered.call("models.version", {"name": "delay"}).trained.digest
    assert deployment["metadata"]["annotations"]["everloop/model-digest"] == digest


def test_an_endpoint_is_a_deployment_for_each_revision_with_its_weight_the_stable_one_first(endpoint: Platform) -> None:
    found = objects(asked(endpoint, "endpoints.manifest", image=IMAGE))
    assert [each["metadata"]["name"] for each in of_kind(found, "Deployment")] == ["delay-r1", "delay-r2"]
    (rule,) = of_kind(found, "HTTPRoute")[0]["spec"]["rules"]
    assert [(each["name"], each["weight"]) for each in rule["backendRefs"]] == [("delay-r1", 95), ("delay-r2", 5)]


def test_each_revision_has_the_image_of_its_own_version(endpoint: Platform) -> None:
    found = of_kind(objects(asked(endpoint, "endpoints.manifest", image=IMAGE)), "Deployment")
    images = [each["spec"]["template"]["spec"]["containers"][0]["image"] for each in found]
    assert images == [f"{IMAGE}:1", f"{IMAGE}:2"]


def test_one_image_for_two_versions_is_refused(endpoint: Platform) -> None:
    with pytest.raises(InvalidInput, match="one image"):
        asked(endpoint, "endpoints.manifest", image=f"{IMAGE}:1")


def test_a_revision_that_lost_its_traffic_is_not_deployed(endpoint: Platform) -> None:
    endpoint.call("endpoints.rollback", {"name": "delay"})
    found = objects(asked(endpoint, "endpoints.manifest", image=IMAGE))
    assert [each["metadata"]["name"] for each in of_kind(found, "Deployment")] == ["delay-r1"]


def test_what_a_kind_cannot_divide_is_refused(endpoint: Platform) -> None:
    with pytest.raises(Refused, match="one version"):
        asked(endpoint, "endpoints.manifest", kind="lambda")


@pytest.mark.parametrize(
    "placement",
    [
        {"namespace": "a b"},
        {"host": "http://x"},
        {"gateway": "Front"},
        {"region": 'x" }'},
        {"account": "$(id)"},
        {"replicas": -1},
        {"replicas": 3, "most": 2},
        {"gpu": 65},
        {"cpu": "fast"},
        {"memory": "1 byte"},
        {"runtime": "docker"},
        {"colour": "red"},
    ],
)
def test_a_placement_that_makes_no_sense_is_refused(registered: Platform, placement: dict[str, object]) -> None:
    with pytest.raises(InvalidInput):
        asked(registered, placement=placement)


def test_an_unknown_kind_an_image_that_is_none_and_a_model_that_is_not_there_are_refused(registered: Platform) -> None:
    with pytest.raises(InvalidInput, match="nomad"):
        asked(registered, kind="nomad")
    with pytest.raises(InvalidInput, match="image"):
        asked(registered, image='x"\nkind: Pod')
    with pytest.raises(NotFound):
        registered.call("packages.manifest", {"model": "ghost"})


def test_a_placement_decides_before_any_profile(registered: Platform) -> None:
    placement = {"cpu": "2", "memory": "1Gi", "replicas": 5, "most": 9, "namespace": "models"}
    (deployment,) = of_kind(objects(asked(registered, placement=placement)), "Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["resources"]["requests"] == {"cpu": "2", "memory": "1Gi"}
    assert deployment["metadata"]["namespace"] == "models"


def test_what_was_never_measured_is_said_to_be_a_guess(registered: Platform) -> None:
    assert "not measured" in asked(registered).notes[0]


@pytest.mark.slow
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(get_args(ManifestKind)), st.integers(1, 40), st.integers(1, 8000))
def test_any_size_is_written_or_refused_and_never_breaks(registered: Platform, kind: str, most: int, cpu: int) -> None:
    placement = {"replicas": 1, "most": most, "cpu": f"{cpu}m", "gpu": cpu % 2}
    try:
        found = asked(registered, kind=kind, placement=placement)
    except Refused:
        return  # Such as: Fargate has no GPUs.
    assert found.files
