"""The manifest for Kubernetes: what it deploys, and how safely."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from everloop.app.platform import Platform
from everloop.app.settings import load
from everloop.kernel.errors import InvalidInput, NotFound
from everloop.packaging.kubernetes import label
from everloop.server.security import check_exposure


@pytest.fixture
def documents(registered: Platform) -> list[Any]:
    """The documents of the manifest."""
    text = registered.call("packages.manifest", {"model": "delay", "image": "registry.test/everloop:1"})
    return list(yaml.safe_load_all(text))


def test_it_is_a_deployment_and_a_service_that_finds_it(documents: list[Any]) -> None:
    deployment, service = documents
    assert (deployment["kind"], service["kind"]) == ("Deployment", "Service")
    assert service["spec"]["selector"].items() <= deployment["spec"]["template"]["metadata"]["labels"].items()
    assert (
        deployment["spec"]["selector"]["matchLabels"].items()
        <= deployment["spec"]["template"]["metadata"]["labels"].items()
    )


def test_it_serves_exactly_the_version(documents: list[Any], registered: Platform) -> None:
    (container,) = documents[0]["spec"]["template"]["spec"]["containers"]
    assert container["args"][:3] == ["everloop", "serve", "models:/delay/1"]
    assert container["image"] == "registry.test/everloop:1"
    digest = registered.call("models.version", {"name": "delay"}).trained.digest
    assert documents[0]["metadata"]["annotations"]["everloop/model-digest"] == digest


def test_its_port_is_the_one_that_is_probed_and_served(documents: list[Any]) -> None:
    (container,) = documents[0]["spec"]["template"]["spec"]["containers"]
    assert container["args"][-2:] == ["--port", str(container["ports"][0]["containerPort"])]
    assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "http"}
    assert container["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "http"}


def test_it_runs_without_privileges(documents: list[Any]) -> None:
    pod = documents[0]["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["containers"][0]["securityContext"]["readOnlyRootFilesystem"] is True
    assert pod["containers"][0]["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_its_server_starts_with_authentication_and_answers_to_the_services_name(documents: list[Any]) -> None:
    (container,) = documents[0]["spec"]["template"]["spec"]["containers"]
    given = {one["name"]: one.get("value", "") for one in container["env"]}
    values = load({}, {name: text for name, text in given.items() if name.startswith("EVERLOOP_")}).values
    check_exposure(values.host, values, lambda: True)
    assert documents[1]["metadata"]["name"] in values.allowed_hosts


def test_secrets_stand_in_a_secret(registered: Platform) -> None:
    text = registered.call("packages.manifest", {"model": "delay"})
    assert "secretRef" in text
    assert "postgresql" not in text


@pytest.mark.parametrize("image", ['x"\nkind: Pod', "a b", "-rm", "{model}"])
def test_an_image_that_is_no_name_is_refused(registered: Platform, image: str) -> None:
    with pytest.raises(InvalidInput, match="image"):
        registered.call("packages.manifest", {"model": "delay", "image": image})


def test_an_unknown_kind_is_refused(registered: Platform) -> None:
    with pytest.raises(InvalidInput, match="nomad"):
        registered.call("packages.manifest", {"model": "delay", "kind": "nomad"})


def test_an_unknown_model_is_not_found(registered: Platform) -> None:
    with pytest.raises(NotFound):
        registered.call("packages.manifest", {"model": "ghost"})


@pytest.mark.parametrize("name", ["Late_Flights-3", "9lives-1", "a.b.c-2", "x" * 128 + "-12", "é-1"])
def test_every_name_becomes_a_label(name: str) -> None:
    assert re.fullmatch(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?", label(name))


@pytest.mark.parametrize(("length", "kept"), [(63, True), (64, False)])
def test_a_name_is_shortened_only_when_it_is_too_long_for_a_label(length: int, kept: bool) -> None:
    name = "m" * length
    assert (label(name) == name) == kept
    assert len(label(name)) <= 63
