"""Helm: a chart that Helm takes, and that gives what the kind `kubernetes` gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from everloop.packaging.manifests import kubernetes
from everloop.packaging.manifests.helm import values, written_for
from tests.packaging.manifests.conftest import (
    HELM,
    broken_rules,
    divided,
    documents,
    judged,
    sized,
    tool,
    with_shadow,
    workload,
    written,
)

CASES = {
    "a model": workload(),
    "with a route": workload(gateway="front", host="late.test"),
    "an endpoint": divided(95, 5),
    "with a shadow": with_shadow(),
    "with the platform": workload(runtime="platform", host="late.test"),
    "a single one": workload(size=sized(replicas=1, most=1, start_seconds=30.0)),
}


def keyed(found: list[Any]) -> dict[tuple[str, str], Any]:
    return {(each["kind"], each["metadata"]["name"]): each for each in found if each}


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_the_chart_gives_the_objects_that_the_kind_kubernetes_gives(tmp_path: Path, case: str) -> None:
    folder = written(tmp_path, written_for(CASES[case])[0])
    given = list(yaml.safe_load_all(judged([tool("helm", HELM), "template", "late", folder])))
    assert keyed(given) == keyed(documents(kubernetes.written_for(CASES[case])[0]))


@pytest.mark.slow
def test_helm_finds_nothing_wrong_with_the_chart(tmp_path: Path) -> None:
    folder = written(tmp_path, written_for(divided(95, 5))[0])
    assert "0 chart(s) failed" in judged([tool("helm", HELM), "lint", "--strict", folder])


@pytest.mark.slow
def test_helm_refuses_values_that_make_no_sense(tmp_path: Path) -> None:
    folder = written(tmp_path, written_for(workload())[0])
    helm = tool("helm", HELM)
    with pytest.raises(AssertionError, match="replicas"):
        judged([helm, "template", "late", folder, "--set", "replicas=0"])


def test_the_templates_are_the_same_for_every_model() -> None:
    one, other = written_for(workload())[0], written_for(divided(95, 5))[0]
    assert {path for path in one if one[path] != other[path]} == {"values.yaml"}


@pytest.mark.parametrize("case", CASES)
def test_the_values_are_what_their_schema_says(case: str) -> None:
    import json

    from jsonschema import Draft7Validator

    schema = json.loads(written_for(CASES[case])[0]["values.schema.json"])
    assert list(Draft7Validator(schema).iter_errors(values(CASES[case]))) == []


def test_the_gateways_schema_is_what_the_route_is_held_to() -> None:
    assert broken_rules(kubernetes.route(CASES["with a shadow"]), "httproute.json") == []
