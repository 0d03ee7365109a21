"""Hostile input: a platform on which a day's work was done, and wrong arguments for every use case."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Literal
from urllib.parse import quote

import msgspec

from everloop.app.platform import Platform
from everloop.catalog.schema import metadata
from everloop.catalog.tables import chain_head
from everloop.datasets.remotes.places import Places
from everloop.kernel.errors import EverloopError, Problem
from everloop.kernel.ids import Name
from everloop.kernel.usecase import UseCase, published
from tests.sdk.doors import Beside
from tests.sdk.scenario import SCENARIO, objects

Arguments = dict[str, Any]
LONG = ("packages.measure",)
"""What these take they put under load for many seconds, so that they are asked only for what they surely refuse."""
ABSENT = object()
"""Stands for an argument that is left out."""

TEXTS = (
    "\x00",
    "a\x00b",
    "\x1b[31mred",
    "line\nbreak",
    "\u202egnp.exe",
    "\u2066x\u2069",
    "../../etc/passwd",
    "'; DROP TABLE events; --",
    "é" * 300,
    "x" * 100_000,
    "",
    " ",
)
"""Texts that are no name of anything."""
NUMBERS = (-1, -(1 << 63) - 1, 1 << 31, (1 << 63) - 1, 1 << 63, 1 << 64, 10**30, 1.5, 1e308, "1", True, None)
SHAPES = (None, True, 0, 1.5, "x", [], {}, [[]], {"": None}, {"a": {"b": [1]}})
DEEP: Any = "end"
for _ in range(80):
    DEEP = [DEEP]


class Wrong(msgspec.Struct, frozen=True):
    """A call of a use case that is wrong in one argument; `surely`: no platform could accept it."""

    usecase: str
    parameter: str
    arguments: Arguments
    surely: bool = False

    def __str__(self) -> str:
        return f"{self.usecase}({self.parameter}={str(self.arguments.get(self.parameter, '–'))[:60]!r})"


def play(platform: Platform) -> dict[str, Arguments]:
    """Do a day's work on a platform; for each use case, arguments that it took, or would have."""
    platform.resources.ports.provide(Places, lambda: Beside(platform.resources.home))
    for data in objects():
        platform.resources.store.put(data)
    seen: dict[str, Any] = {}
    taken: dict[str, Arguments] = {}
    for example in SCENARIO:
        given = dict(example.given(seen))
        try:
            answer = platform.call(example.usecase, given)
        except EverloopError:
            taken.setdefault(example.usecase, given)
            continue
        seen[example.label or example.usecase] = msgspec.to_builtins(answer)
        taken[example.usecase] = given
    return taken


def wrong_calls(taken: Mapping[str, Arguments]) -> Iterator[Wrong]:
    """For every published use case and each of its parameters, what should be refused and what only looks odd."""
    for usecase in published().values():
        good = taken[usecase.name]
        yield Wrong(usecase.name, "colour", good | {"colour": "red"}, surely=True)
        for name, parameter in usecase.signature.parameters.items():
            without = {key: value for key, value in good.items() if key != name}
            if parameter.default is parameter.empty:
                yield Wrong(usecase.name, name, without, surely=True)
            for value, surely in _wrong_values(parameter.annotation):
                if surely or usecase.name not in LONG:
                    yield Wrong(usecase.name, name, good | {name: value}, surely)


def _wrong_values(annotation: Any) -> Iterator[tuple[Any, bool]]:
    arms = typing.get_args(annotation) if isinstance(annotation, types.UnionType) else (annotation,)
    bare = [typing.get_args(arm)[0] if typing.get_origin(arm) is typing.Annotated else arm for arm in arms]
    for value in SHAPES:
        yield value, not _may_be(value, bare)
    yield DEEP, True
    if int in bare or float in bare:
        for number in NUMBERS:
            yield number, isinstance(number, str) and str not in bare
    if any(isinstance(arm, type) and issubclass(arm, str) for arm in bare):
        for text in TEXTS:
            yield text, annotation == Name or "\x00" in text


def _may_be(value: Any, arms: list[Any]) -> bool:
    """Whether a value could be right, as far as its outermost type says."""
    for arm in arms:
        origin = typing.get_origin(arm) or arm
        if origin is Literal:
            if value in typing.get_args(arm):
                return True
        elif isinstance(origin, typing.NewType):
            if isinstance(value, str):
                return True
        elif origin in (list, tuple, set):
            if isinstance(value, list):
                return True
        elif (
            (origin is float and isinstance(value, int))
            or not isinstance(origin, type)
            or isinstance(value, origin)
            or issubclass(origin, msgspec.Struct)
        ):
            return True
    return False


def marks(platform: Platform) -> tuple[Any, ...]:
    """What must not move when something is refused: the ledger's head, and how many rows each table has."""
    with platform.session().begin(write=False) as unit:
        return tuple(map(tuple, unit.connection.exec_driver_sql(_counts())))


@cache
def _counts() -> str:
    """One statement for all tables, made once: to make it takes ten times as long as to run it."""
    counts = [f"SELECT '{table.name}', count(*) FROM {table.name}" for table in metadata.sorted_tables]
    return " UNION ALL ".join([f"SELECT 'head', sequence FROM {chain_head.name}", *counts])


def is_told_well(problem: Problem) -> bool:
    """Whether an error is one for a reader: its parts, no traceback, no endless text."""
    message, hint = problem.message, problem.hint
    return (
        bool(message.strip())
        and "Traceback" not in message
        and "sqlalchemy" not in message.lower()
        and len(message) + len(hint) < 5_000
    )


def path_of(usecase: UseCase, arguments: Mapping[str, Any]) -> tuple[str, Arguments]:
    """The path of a call, with what stands in it quoted, and the arguments that do not."""
    rest = dict(arguments)
    path = usecase.path
    for name in usecase.path_parameters:
        path = path.replace(f"{{{name}}}", quote(text_of(rest.pop(name, "")), safe=""))
    return path, rest


def words_of(usecase: UseCase, arguments: Mapping[str, Any]) -> list[str]:
    """The call on a command line."""
    words = [usecase.group, usecase.verb.replace("_", "-"), "--json"]
    for name, value in arguments.items():
        if name not in usecase.path_parameters:
            words += [f"--{name.replace('_', '-')}={text_of(value)}"]
    placed = [text_of(arguments[name]) for name in usecase.path_parameters if name in arguments]
    return [*words, "--", *placed]


def text_of(value: Any) -> str:
    """A value as people write it in a path or on a command line."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def in_python(platform: Platform, wrong: Wrong) -> Problem | None:
    """In this process: nothing but our own errors comes out."""
    try:
        platform.call(wrong.usecase, wrong.arguments)
    except EverloopError as error:
        return error.problem
    return None
