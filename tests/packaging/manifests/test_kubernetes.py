"""Kubernetes: what the manifests deploy, how safely, and that Kubernetes takes them."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from everloop.app.settings import load
from everloop.packaging.manifests.kubernetes import route, written_for
from everloop.packaging.manifests.names import label
from everloop.server.security import check_exposure
from tests.packaging.manifests.conftest import (
    broken_rules,
    divided,
    documents,
    judged,
    of_kind,
    release,
    sized,
    tool,
    with_shadow,
    workload,
    written,
)
from tests.packaging.manifests.test_names import NAMES

KINDS = {"Deployment", "Service", "NetworkPolicy", "HorizontalPodAutoscaler", "PodDisruptionBudget"}


def container(found: list[Any]) -> Any:
    (only,) = of_kind(found, "Deployment")[0]["spec"]["template"]["spec"]["containers"]
    return only


@pytest.fixture
def found() -> list[Any]:
    """The objects of one release."""
    return documents(written_for(workload())[0])


def test_a_release_is_a_deployment_with_its_service_autoscaler_and_guards(found: list[Any]) -> None:
    assert {each["kind"] for each in found} == KINDS


@pytest.mark.parametrize(
    "one", [workload(), divided(95, 5), with_shadow(), workload(runtime="platform", host="late.test")]
)
def test_kubernetes_own_schemas_take_every_object(one: Any) -> None:
    import kubernetes_validate

    for each in documents(written_for(one)[0]):
        if each["kind"] != "HTTPRoute":
            kubernetes_validate.validate(each, "1.34", strict=True)


@pytest.mark.parametrize("one", [workload(gateway="front", host="late.test"), divided(95, 5), with_shadow()])
def test_the_gateways_own_schema_takes_the_route(one: Any) -> None:
    assert broken_rules(route(one), "httproute.json") == []


def test_the_gateways_schema_would_find_a_mistake() -> None:
    broken = dict(route(divided(95, 5)))
    broken["spec"] = broken["spec"] | {
        "rules": [{"backendRefs": [{"name": "a", "port": 80, "weight": -1}]}],
        "wieght": 1,
    }
    assert len(broken_rules(broken, "httproute.json")) == 2


@pytest.mark.slow
def test_kubectl_reads_every_file(tmp_path: Any) -> None:
    folder = written(tmp_path, written_for(divided(95, 5))[0] | {"kustomization.yaml": _KUSTOMIZATION})
    assert "kind: HTTPRoute" in judged([tool("kubectl"), "kustomize", folder])


_KUSTOMIZATION = "resources: [late-r1.yaml, late-r2.yaml, route.yaml]\n"


def test_the_service_the_guards_and_the_spread_all_find_the_pods(found: list[Any]) -> None:
    (deployment,) = of_kind(found, "Deployment")
    pods = deployment["spec"]["template"]["metadata"]["labels"].items()
    spread = deployment["spec"]["template"]["spec"]["topologySpreadConstraints"]
    selectors = [
        deployment["spec"]["selector"]["matchLabels"],
        of_kind(found, "Service")[0]["spec"]["selector"],
        of_kind(found, "NetworkPolicy")[0]["spec"]["podSelector"]["matchLabels"],
        of_kind(found, "PodDisruptionBudget")[0]["spec"]["selector"]["matchLabels"],
        *(each["labelSelector"]["matchLabels"] for each in spread),
    ]
    assert all(selector.items() <= pods for selector in selectors)


def test_releases_of_one_endpoint_never_select_each_others_pods() -> None:
    services = of_kind(documents(written_for(divided(95, 5))[0]), "Service")
    assert services[0]["spec"]["selector"] != services[1]["spec"]["selector"]


def test_a_release_runs_without_privileges(found: list[Any]) -> None:
    pod = of_kind(found, "Deployment")[0]["spec"]["template"]["spec"]
    security = container(found)["securityContext"]
    assert pod["automountServiceAccountToken"] is False
    assert security["runAsNonRoot"] is True
    assert security["readOnlyRootFilesystem"] is True
    assert security["allowPrivilegeEscalation"] is False
    assert security["capabilities"] == {"drop": ["ALL"]}
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}


def test_a_packaged_model_may_send_nothing_anywhere(found: list[Any]) -> None:
    (policy,) = of_kind(found, "NetworkPolicy")
    assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]
    assert policy["spec"]["egress"] == []


def test_the_image_is_the_one_that_was_named_and_asked_where_it_listens(found: list[Any]) -> None:
    only = container(found)
    assert only["image"] == release().image
    assert only["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "http"}
    assert only["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "http"}
    assert [port["name"] for port in only["ports"]] == ["http"]


def test_a_packaged_model_is_started_as_its_server_takes_it_open_to_whom_the_network_lets_in(found: list[Any]) -> None:
    from everloop.server.inference.standalone import Exposure, _parser, gate_of

    words = _parser().parse_args(["/opt/ml/model", *container(found)["args"]])
    assert (words.host, words.port, words.open) == ("0.0.0.0", 8080, True)
    assert gate_of(Exposure(words.host, "", words.open))
    with_token = [one for one in container(found)["env"] if one["name"] == "EVERLOOP_TOKEN"]
    assert with_token[0]["valueFrom"]["secretKeyRef"]["optional"] is True


def test_the_requests_and_limits_are_the_sizes(found: list[Any]) -> None:
    assert container(found)["resources"] == {
        "requests": {"cpu": "250m", "memory": "128Mi"},
        "limits": {"cpu": "1", "memory": "192Mi"},
    }


def test_a_gpu_is_asked_for_only_where_one_is_wanted() -> None:
    found = documents(written_for(workload(size=sized(gpu=1)))[0])
    assert container(found)["resources"]["limits"]["nvidia.com/gpu"] == "1"


def test_a_slow_start_is_waited_for_ten_times_as_long_as_was_measured() -> None:
    found = documents(written_for(workload(size=sized(start_seconds=30.0)))[0])
    probe = container(found)["startupProbe"]
    assert probe["periodSeconds"] * probe["failureThreshold"] == 300


def test_where_the_number_is_the_autoscalers_the_deployment_names_none(found: list[Any]) -> None:
    (scaler,) = of_kind(found, "HorizontalPodAutoscaler")
    assert (scaler["spec"]["minReplicas"], scaler["spec"]["maxReplicas"]) == (2, 8)
    assert "replicas" not in of_kind(found, "Deployment")[0]["spec"]


def test_a_fixed_number_has_no_autoscaler_and_a_single_pod_no_budget() -> None:
    found = documents(written_for(workload(size=sized(replicas=1, most=1)))[0])
    assert of_kind(found, "HorizontalPodAutoscaler") == of_kind(found, "PodDisruptionBudget") == []
    assert of_kind(found, "Deployment")[0]["spec"]["replicas"] == 1


def test_the_route_divides_the_traffic_as_the_endpoint_does() -> None:
    (rule,) = route(divided(90, 7, 3))["spec"]["rules"]
    assert [backend["weight"] for backend in rule["backendRefs"]] == [90, 7, 3]


def test_a_shadow_gets_copies_and_answers_nothing() -> None:
    (rule,) = route(with_shadow())["spec"]["rules"]
    assert [backend["name"] for backend in rule["backendRefs"]] == ["late-r1"]
    assert [each["requestMirror"]["backendRef"]["name"] for each in rule["filters"]] == ["late-r2"]


def test_a_model_without_a_gateway_has_no_route() -> None:
    assert "route.yaml" not in written_for(workload())[0]
    assert "route.yaml" in written_for(workload(gateway="front"))[0]


def test_a_divided_endpoint_is_said_to_divide_requests_and_not_units() -> None:
    assert any("not units" in note for note in written_for(divided(95, 5))[1])


def test_an_image_with_everloop_serves_exactly_the_version_with_authentication() -> None:
    found = documents(written_for(workload(runtime="platform", host="late.test"))[0])
    only = container(found)
    given = {one["name"]: one.get("value", "") for one in only["env"]}
    values = load({}, {name: text for name, text in given.items() if name.startswith("EVERLOOP_")}).values
    check_exposure(values.host, values, lambda: True)
    assert only["args"][:3] == ["everloop", "serve", "models:/late/1"]
    assert {"late-v1", "late.test"} <= set(values.allowed_hosts)
    assert only["envFrom"] == [{"secretRef": {"name": "everloop"}}]


@given(NAMES, st.lists(st.integers(1, 100), min_size=1, max_size=4))
def test_every_name_and_every_division_gives_objects_that_kubernetes_can_name(name: str, parts: list[int]) -> None:
    releases = [
        release(label(f"{name}-r{place}"), part * 1_000_000 // sum(parts), "stable" if place == 0 else "canary")
        for place, part in enumerate(parts)
    ]
    found = documents(written_for(workload(*releases))[0])
    names = [each["metadata"]["name"] for each in found]
    assert all(re.fullmatch(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?", each) for each in names)
    assert len(of_kind(found, "Deployment")) == len(parts)


def test_the_same_workload_gives_the_same_bytes_and_nothing_is_written_by_reference() -> None:
    files = written_for(divided(95, 5))[0]
    assert files == written_for(divided(95, 5))[0]
    assert not re.search(r"[&*]id0", "".join(files.values()))
