"""The description of the REST door that other programs read: OpenAPI 3.1, made from the use cases' signatures."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from importlib.metadata import version
from typing import Any

import msgspec

from everloop.app.areas import GROUPS
from everloop.app.arguments import shape_of
from everloop.kernel.errors import Problem
from everloop.kernel.usecase import UseCase
from everloop.server.answers import StoredObject

Schema = dict[str, Any]
"""A piece of JSON Schema or OpenAPI; `Any` because it is JSON."""
_PLACE = "#/components/schemas/{name}"


class ErrorAnswer(msgspec.Struct, frozen=True):
    """What every refused or failed request is answered with."""

    error: Problem


def describe(usecases: Iterable[UseCase]) -> Schema:
    """The whole door as an OpenAPI document."""
    listed = list(usecases)
    types = [ErrorAnswer, StoredObject]
    types += [kind for usecase in listed for kind in (usecase.result, *_annotations(usecase))]
    schemas, components = msgspec.json.schema_components(types, ref_template=_PLACE)
    by_type = iter(schemas[2:])
    paths: Schema = _object_paths()
    for usecase in listed:
        result = next(by_type)
        parameters = {name: next(by_type) for name in usecase.signature.parameters}
        paths.setdefault(usecase.path, {})[usecase.method.lower()] = _operation(usecase, result, parameters)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Everloop", "version": version("everloop"), "description": _ABOUT},
        "servers": [{"url": "/api/v1"}],
        "security": [{"token": []}],
        "tags": [{"name": group, "description": line} for group, (_, line) in GROUPS.items()],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "responses": {
                "Problem": _answered("What went wrong and what to do.", {"$ref": _PLACE.format(name="ErrorAnswer")})
            },
        },
    }


_ABOUT = (
    'Every use case of Everloop. Errors are `{"error": {code, message, hint}}`. A write with an `Idempotency-Key` '
    "happens once, however often it is sent. `X-Everloop-Project` chooses the project. Bodies and answers can also be "
    "`application/msgpack`, which keeps numbers that JSON has no word for (NaN, infinity)."
)


def _operation(usecase: UseCase, result: Schema, parameters: dict[str, Schema]) -> Schema:
    in_path = usecase.path_parameters
    rest = {name: schema for name, schema in parameters.items() if name not in in_path}
    in_query = usecase.method in ("GET", "DELETE")
    found: Schema = {
        "operationId": usecase.name,
        "tags": [usecase.group],
        "summary": usecase.summary,
        "description": inspect.getdoc(usecase.function) or "",
        "x-permission": usecase.permission,
        "parameters": [_path_parameter(name, parameters[name]) for name in in_path] + [_header("X-Everloop-Project")],
        "responses": {
            "200": _answered("The answer.", result),
            "default": {"$ref": "#/components/responses/Problem"},
        },
    }
    if in_query:
        found["parameters"] += [_query_parameter(usecase, name, schema) for name, schema in rest.items()]
        return found
    if usecase.repeatable:
        found["parameters"].append(_header("Idempotency-Key"))
    body: Schema = {"type": "object", "properties": rest, "required": [n for n in rest if _required(usecase, n)]}
    body["additionalProperties"] = False
    found["requestBody"] = {"required": bool(body["required"]), "content": {"application/json": {"schema": body}}}
    return found


def _annotations(usecase: UseCase) -> list[Any]:
    return [parameter.annotation for parameter in usecase.signature.parameters.values()]


def _required(usecase: UseCase, name: str) -> bool:
    parameter = usecase.signature.parameters[name]
    return parameter.default is parameter.empty


def _path_parameter(name: str, schema: Schema) -> Schema:
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _query_parameter(usecase: UseCase, name: str, schema: Schema) -> Schema:
    parameter = usecase.signature.parameters[name]
    place: Schema = {"name": name, "in": "query", "required": parameter.default is parameter.empty}
    if shape_of(parameter.annotation) == "json":
        return place | {"content": {"application/json": {"schema": schema}}}
    return place | {"schema": schema}


def _header(name: str) -> Schema:
    return {"name": name, "in": "header", "required": False, "schema": {"type": "string"}}


def _answered(description: str, schema: Schema) -> Schema:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _object_paths() -> Schema:
    octets: Schema = {"application/octet-stream": {}}
    problem = {"default": {"$ref": "#/components/responses/Problem"}}
    stored = {"200": _answered("Where the bytes are.", {"$ref": _PLACE.format(name="StoredObject")})}
    digest = _path_parameter("digest", {"type": "string", "pattern": "^[0-9a-f]{64}$"})
    return {
        "/objects": {
            "post": {
                "operationId": "objects.put",
                "summary": "Keep bytes; their address.",
                "requestBody": {"required": True, "content": octets},
                "responses": stored | problem,
            }
        },
        "/objects/{digest}": {
            "get": {
                "operationId": "objects.get",
                "summary": "The bytes at an address, verified.",
                "parameters": [digest],
                "responses": {"200": {"description": "The bytes.", "content": octets}} | problem,
            }
        },
    }
