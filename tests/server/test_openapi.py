"""The OpenAPI document: complete, consistent in itself, and true."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from everloop.app import areas
from everloop.app.platform import Platform
from everloop.kernel.usecase import UseCase, published
from tests.server.conftest import client_of

areas.load_all()


@pytest.fixture(scope="module")
def document(shared_platform: Platform) -> dict[str, Any]:
    """The document as it is served."""
    with client_of(shared_platform) as http:
        found: dict[str, Any] = http.get("/api/v1/openapi.json").json()
    return found


def operation_of(document: dict[str, Any], usecase: UseCase) -> dict[str, Any]:
    """The part of the document about a use case."""
    found: dict[str, Any] = document["paths"][usecase.path][usecase.method.lower()]
    return found


def references(part: Any) -> Iterator[str]:
    """Every $ref below a part."""
    if isinstance(part, dict):
        if "$ref" in part:
            yield part["$ref"]
        for value in part.values():
            yield from references(value)
    elif isinstance(part, list):
        for value in part:
            yield from references(value)


@pytest.mark.slow
def test_it_is_valid_openapi(document: dict[str, Any]) -> None:
    validator = pytest.importorskip("openapi_spec_validator")
    validator.validate(document)


def test_every_use_case_is_in_it_once(document: dict[str, Any]) -> None:
    listed = [operation["operationId"] for path in document["paths"].values() for operation in path.values()]
    assert sorted(listed) == sorted([*published(), "objects.get", "objects.put"])


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    for reference in set(references(document)):
        part = document
        for name in reference.removeprefix("#/").split("/"):
            part = part[name]
        assert part


@pytest.mark.parametrize("usecase", published().values(), ids=lambda usecase: usecase.name)
def test_its_parameters_are_those_of_the_signature(document: dict[str, Any], usecase: UseCase) -> None:
    operation = operation_of(document, usecase)
    given = {p["name"] for p in operation["parameters"] if p["in"] != "header"}
    if "requestBody" in operation:
        given |= set(operation["requestBody"]["content"]["application/json"]["schema"]["properties"])
    assert given == set(usecase.signature.parameters)


@pytest.mark.parametrize("usecase", published().values(), ids=lambda usecase: usecase.name)
def test_its_path_names_its_path_parameters(document: dict[str, Any], usecase: UseCase) -> None:
    in_path = [p["name"] for p in operation_of(document, usecase)["parameters"] if p["in"] == "path"]
    assert in_path == re.findall(r"{(\w+)}", usecase.path)


def test_what_must_be_given_is_marked(document: dict[str, Any]) -> None:
    body = document["paths"]["/experiments"]["post"]["requestBody"]
    assert body["required"]
    assert body["content"]["application/json"]["schema"]["required"] == ["name"]


def test_a_closed_choice_is_spelled_out(document: dict[str, Any]) -> None:
    parameters = document["paths"]["/lineage"]["get"]["parameters"]
    direction = next(p for p in parameters if p["name"] == "direction")
    assert sorted(direction["schema"]["enum"]) == ["both", "downstream", "upstream"]


def test_errors_are_described(document: dict[str, Any]) -> None:
    assert set(document["components"]["schemas"]["Problem"]["properties"]) == {"code", "message", "hint"}


def test_idempotency_is_offered_where_it_holds(document: dict[str, Any]) -> None:
    def offers(path: str, method: str) -> bool:
        return any(p["name"] == "Idempotency-Key" for p in document["paths"][path][method]["parameters"])

    assert offers("/experiments", "post")
    assert not offers("/experiments", "get")
    assert not offers("/tokens", "post")
