"""The endpoints of the MLflow door: plain functions of a caller and a typed request, by method and path."""

from __future__ import annotations

import typing
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import msgspec

from everloop.app.platform import Platform
from everloop.catalog.session import Session
from everloop.governance.entities import Principal
from everloop.governance.roles import require
from everloop.kernel.errors import InvalidInput
from everloop.kernel.usecase import Json

Answer = dict[str, Json]
Function = Callable[..., Answer]


class KeyValue(msgspec.Struct, frozen=True):
    """A parameter or tag as it travels."""

    key: str
    value: str = ""


@dataclass(frozen=True)
class Caller:
    """Who calls, and the platform that answers."""

    platform: Platform
    principal: Principal
    project: str

    def call(self, usecase: str, **arguments: object) -> Any:
        """Call a use case by name, on behalf of the caller (its answer may be of any type)."""
        return self.platform.call(usecase, arguments, principal=self.principal, project=self.project)

    @contextmanager
    def unit(self, permission: str, *, write: bool = True) -> Iterator[Session]:
        """A unit of work for what takes more than one use case, all or nothing.

        Raises:
            PermissionDenied: the caller may not.
        """
        require(self.principal, permission)
        with self.platform.session(self.principal, self.project).begin(write=write) as unit:
            yield unit


class Endpoint:
    """A function of the door, and the request that it reads."""

    def __init__(self, function: Function) -> None:
        self._function = function
        self._request = typing.get_type_hints(function)["request"]
        declared = msgspec.structs.fields(self._request)
        self.fields = tuple(field.name for field in declared)
        self._lists = {field.name for field in declared if typing.get_origin(field.type) in (list, tuple)}

    def answer(self, caller: Caller, given: Mapping[str, Json]) -> Answer:
        """Read the request and answer it; what is null was not given, and 64-bit numbers may come as texts.

        Raises:
            InvalidInput: something in it is missing or of the wrong type.
        """
        sent = {name: value for name, value in given.items() if value is not None}
        try:
            request = msgspec.convert(sent, self._request, strict=False)
        except msgspec.ValidationError as error:
            raise InvalidInput(f"The request is wrong: {error}.") from None
        return self._function(caller, request)

    def from_query(self, query: Mapping[str, list[str]]) -> dict[str, Json]:
        """The fields of a request that came as a query: only lists may be there more than once."""
        return {name: list(texts) if name in self._lists else texts[-1] for name, texts in query.items()}


ENDPOINTS: dict[str, dict[str, Endpoint]] = {}
"""By path below `/api/2.0/mlflow/`, then by method."""


def at(path: str) -> tuple[dict[str, Endpoint], dict[str, Json]]:
    """The endpoints at a path, by method, and what of a request stands in the path itself."""
    if path in ENDPOINTS:
        return ENDPOINTS[path], {}
    segments = path.split("/")
    for pattern, found in ENDPOINTS.items():
        parts = pattern.split("/")
        if len(parts) == len(segments) and all(
            part.startswith("{") or part == sent for part, sent in zip(parts, segments, strict=True)
        ):
            named = zip(parts, segments, strict=True)
            return found, {part[1:-1]: unquote(sent) for part, sent in named if part.startswith("{")}
    return {}, {}


def endpoint(*routes: str) -> Callable[[Function], Function]:
    """Publish a function under `METHOD path`, where the path is below `/api/2.0/mlflow/`."""

    def publish(function: Function) -> Function:
        made = Endpoint(function)
        for route in routes:
            method, _, path = route.partition(" ")
            ENDPOINTS.setdefault(path, {})[method] = made
        return function

    return publish


def texts(pairs: list[KeyValue], longest: int) -> dict[str, str]:
    """Tags or parameters by key, their values cut to what MLflow keeps of them."""
    return {pair.key: pair.value[:longest] for pair in pairs}


def pairs(texts: Mapping[str, str]) -> list[Json]:
    """Tags or parameters as they travel."""
    return [{"key": key, "value": value} for key, value in texts.items()]
