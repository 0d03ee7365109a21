"""The four doors of a platform, each called in the way of its own users, and answering with JSON."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any, Protocol

import msgspec

from everloop.app.arguments import shape_of
from everloop.app.places import InstalledPlaces
from everloop.app.platform import Platform, open_platform
from everloop.app.remote import RemotePlatform
from everloop.app.settings import load
from everloop.cli.door import Door as CommandLine
from everloop.cli.door import run
from everloop.cli.main import commands
from everloop.cli.usecases import positions
from everloop.datasets.remotes.places import Places
from everloop.kernel.clock import SimulatedClock
from everloop.kernel.errors import EverloopError, Problem
from everloop.kernel.usecase import UseCase, published
from everloop.sdk.platform import Everloop
from everloop.server.main import build_app
from everloop.store.blobs import Blobs
from tests.sdk.scenario import BESIDE

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Starlette would rather have another HTTP client than we have.
    from starlette.testclient import TestClient

START = datetime(2026, 1, 1, tzinfo=UTC)
HERE = "http://127.0.0.1"


class Outcome(msgspec.Struct, frozen=True):
    """What came back: an answer (and the value itself, at the doors that give one), or a problem."""

    answer: Any = None
    problem: Problem | None = None
    value: Any = None


class Door(Protocol):
    """A way in."""

    def call(self, usecase: UseCase, arguments: Mapping[str, Any]) -> Outcome: ...


class PythonDoor:
    """`platform.group.verb(…)`."""

    def __init__(self, everloop: Everloop, *, typed: bool) -> None:
        self._everloop = everloop
        self._typed = typed

    def call(self, usecase: UseCase, arguments: Mapping[str, Any]) -> Outcome:
        try:
            given = self._values(usecase, arguments) if self._typed else arguments
            value = getattr(getattr(self._everloop, usecase.group), usecase.verb)(**given)
        except EverloopError as error:
            return Outcome(problem=error.problem)
        return Outcome(_json(value), value=value)

    def _values(self, usecase: UseCase, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Structs, times and tuples, as people write them in Python."""
        bound = usecase.bind(arguments)
        return {name: bound[name] for name in arguments}


class RestDoor:
    """Raw JSON over HTTP, without anything of ours on the client's side."""

    def __init__(self, http: TestClient) -> None:
        self._http = http

    def call(self, usecase: UseCase, arguments: Mapping[str, Any]) -> Outcome:
        rest = dict(arguments)
        path = usecase.path.format(**{name: rest.pop(name) for name in usecase.path_parameters})
        carried = {"params": _query(rest)} if usecase.method in ("GET", "DELETE") else {"json": rest}
        response = self._http.request(usecase.method, f"{HERE}/api/v1{path}", **carried)
        if response.is_success:
            return Outcome(response.json())
        problem = msgspec.convert(response.json()["error"], Problem)
        assert response.status_code == _status_of(problem), problem
        return Outcome(problem=problem)


class CommandDoor:
    """Words on the command line, with `--json`."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    def call(self, usecase: UseCase, arguments: Mapping[str, Any]) -> Outcome:
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            code = run(commands, [*_words(usecase, arguments), "--json"], CommandLine(self._platform))
        if out.getvalue():  # A bad verdict is an answer too, with an exit code of its own.
            return Outcome(msgspec.json.decode(out.getvalue()))
        assert code != 0
        return Outcome(problem=msgspec.convert(msgspec.json.decode(err.getvalue())["error"], Problem))


@contextmanager
def every_door(folder: Path) -> Iterator[dict[str, tuple[Door, Platform]]]:
    """The four doors, each on a fresh platform of its own; all platforms are made alike."""
    platforms = {name: _platform(folder / name) for name in ("python", "http", "rest", "command line")}
    clients = {name: _client(platforms[name]) for name in ("http", "rest")}
    remote = RemotePlatform(HERE, http=clients["http"], random=Random(3))
    doors: dict[str, Door] = {
        "python": PythonDoor(Everloop(platforms["python"]), typed=True),
        "http": PythonDoor(Everloop(remote), typed=False),
        "rest": RestDoor(clients["rest"]),
        "command line": CommandDoor(platforms["command line"]),
    }
    yield {name: (door, platforms[name]) for name, door in doors.items()}
    for platform in platforms.values():
        platform.close()


class Beside(InstalledPlaces):
    """Opens the scenario's remote as a folder beside a platform's home, so that each door has its own."""

    def __init__(self, home: Path) -> None:
        super().__init__(home / "remotes")
        self._beside = home.with_name(f"{home.name}-beside").as_uri()

    def blobs(self, url: str) -> Blobs:
        """The place as keys and bytes."""
        return super().blobs(url.replace(BESIDE, self._beside))


def tick(platform: Platform) -> None:
    """Let a minute pass."""
    clock = platform.resources.clock
    assert isinstance(clock, SimulatedClock)
    clock.advance(clock.now() + timedelta(minutes=1))


def _platform(home: Path) -> Platform:
    settings = {"home": str(home), "seed": 7, "private_sources": True}
    opened = open_platform(load(settings, environment={}, folder=home.parent))
    opened.resources.ports.provide(Places, lambda: Beside(home))
    opened.resources = replace(opened.resources, clock=SimulatedClock(START), random=Random(7))
    return opened


def _client(platform: Platform) -> TestClient:
    return TestClient(build_app(platform), base_url=HERE, client=("127.0.0.1", 1))


def _words(usecase: UseCase, arguments: Mapping[str, Any]) -> list[str]:
    words = [usecase.group, usecase.verb.replace("_", "-")]
    for name, value in arguments.items():
        option = f"--{name.replace('_', '-')}"
        shape = shape_of(usecase.signature.parameters[name].annotation)
        if name in positions(usecase):
            words += map(str, value) if shape == "list" else [str(value)]
        elif shape == "boolean":
            words.append(option if value else f"--no-{option[2:]}")
        elif shape == "list":
            words += [word for element in value for word in (option, str(element))]
        elif shape == "json":
            words += [option, msgspec.json.encode(value).decode()]
        else:
            words += [option, str(value)]
    return words


def _query(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """A query has texts: numbers as they are, and what has fields as JSON."""
    return {
        name: msgspec.json.encode(value).decode() if isinstance(value, (bool, dict)) else value
        for name, value in arguments.items()
    }


def _json(value: Any) -> Any:
    return msgspec.json.decode(msgspec.json.encode(value))


def _status_of(problem: Problem) -> int:
    from everloop.kernel.errors import error_of

    return error_of(problem).status


def usecase_named(name: str) -> UseCase:
    """A use case that is published."""
    return published()[name]
