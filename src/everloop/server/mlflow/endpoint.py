"""The endpoints of the MLflow door: plain functions of a caller and a typed request, by method and path."""

from __future__ import annotations

import re
import typing
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import unquote

import msgspec

from everloop.app.platform import Platform
from everloop.catalog.session import Session
from everloop.governance.entities import Principal
from everloop.governance.roles import require
from everloop.kernel.errors import InvalidInput
from everloop.kernel.usecase import Json
from everloop.tracking.entities import Logged

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

    def write(self, logged: Logged) -> None:
        """Write to a run, in a commit with what others write meanwhile; it is durable afterwards.

        Raises:
            PermissionDenied: the caller may not.
            NotFound, Conflict, InvalidInput: as `Writes.take` does.
        """
        require(self.principal, "tracking:write")
        session = self.platform.session(self.principal, self.project)
        self.platform.ingest.write(logged, session.principal, session.project)

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
    """A function of the door, and the request that it reads. What that has is looked up when it is first asked."""

    def __init__(self, function: Function) -> None:
        self.function = function

    @cached_property
    def reads(self) -> Any:
        """The type of the request."""
        return typing.get_type_hints(self.function)["request"]

    @cached_property
    def fields(self) -> tuple[str, ...]:
        """The names of its fields."""
        return tuple(field.name for field in msgspec.structs.fields(self.reads))

    @cached_property
    def _lists(self) -> set[str]:
        declared = msgspec.structs.fields(self.reads)
        return {field.name for field in declared if typing.get_origin(field.type) in (list, tuple)}

    def answer(self, caller: Caller, given: Mapping[str, Json]) -> Answer:
        """Read the request and answer it; what is null was not given, and 64-bit numbers may come as texts.

        Raises:
            InvalidInput: something in it is missing or of the wrong type.
        """
        return self.function(caller, self.request(given))

    def request(self, given: Mapping[str, Json]) -> Any:
        """The typed request that its fields make.

        Raises:
            InvalidInput: something in it is missing or of the wrong type.
        """
        sent = {name: value for name, value in given.items() if value is not None}
        try:
            return msgspec.convert(sent, self.reads, strict=False)
        except msgspec.ValidationError:
            sent = _given(sent)  # Nulls further down are rare, and looking for them costs more than reading does.
        try:
            return msgspec.convert(sent, self.reads, strict=False)
        except msgspec.ValidationError as error:
            raise _in_their_words(str(error), sent) from None

    def from_query(self, query: Mapping[str, list[str]]) -> dict[str, Json]:
        """The fields of a request that came as a query: only lists may be there more than once."""
        return {name: list(texts) if name in self._lists else texts[-1] for name, texts in query.items()}


_MISSING = re.compile(r"missing required field `(.*)`")
_STEP = re.compile(r"\[\d+\]|[^.\[\]]+")
_LONGEST_SHOWN = 200
ENDPOINTS: dict[str, dict[str, Endpoint]] = {}
"""By path below `/api/2.0/mlflow/`, then by method; those of version 3.0 alone stand below `3.0/`."""


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
    """Publish a function under `METHOD path`, where the path is below `/api/2.0/mlflow/`.

    A path that begins with `3.0/` is below `/api/3.0/mlflow/`.
    """

    def publish(function: Function) -> Function:
        made = Endpoint(function)
        for route in routes:
            method, _, path = route.partition(" ")
            ENDPOINTS.setdefault(path, {})[method] = made
        return function

    return publish


def _given(value: Any) -> Any:
    """A value without the fields that are null, wherever they stand in it."""
    if isinstance(value, dict):
        return {name: _given(item) for name, item in value.items() if item is not None}
    return [_given(item) for item in value] if isinstance(value, list) else value


def _in_their_words(told: str, sent: Mapping[str, Json]) -> InvalidInput:
    """What msgspec has to say of a request, as MLflow's server says it: its clients' tests read that."""
    said, _, where = told.partition(" - at `$")
    path = where.rstrip("`").removeprefix(".")
    missing = _MISSING.search(said)
    if missing is not None:
        return InvalidInput(f"Missing value for required parameter '{path}{'.' if path else ''}{missing[1]}'.")
    value: Json = dict(sent)
    for step in _STEP.findall(path):
        value = value[int(step[1:-1])] if isinstance(value, list) else value[step] if isinstance(value, dict) else None
    shown = msgspec.json.encode(value).decode()
    shown = shown if len(shown) <= _LONGEST_SHOWN else f"{shown[:_LONGEST_SHOWN]}..."
    return InvalidInput(f"Invalid value {shown} for parameter '{path}' supplied: {said}.")


def pairs(texts: Mapping[str, str]) -> list[Json]:
    """Tags or parameters as they travel."""
    return [{"key": key, "value": value} for key, value in texts.items()]


def noted_in(tag: str) -> list[Json]:
    """The list that is kept in a tag as JSON; empty where a client has put something else there."""
    try:
        return msgspec.json.decode(tag, type=list[Json])
    except (msgspec.MsgspecError, RecursionError):
        return []
