"""The models that a process serves: listed, taken in and let go while it runs."""

from __future__ import annotations

from asyncio import Lock
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import msgspec
from starlette.concurrency import run_in_threadpool

from everloop.kernel.errors import InvalidInput, NotFound, Refused
from everloop.kernel.usecase import Json
from everloop.server.inference.dataplane import DataPlane
from everloop.server.inference.served import Served

Known = Callable[[], Sequence[tuple[str, str]]]
"""Gives the name and the newest version of each model that could be served."""
_LONGEST_VERSION = 9
Load = Callable[[str, str], Served]
"""Gives what answers for a model's version (the newest one where it is empty), or raises NotFound."""


class ModelState(msgspec.Struct, frozen=True):
    """A model of the repository, and whether it is served."""

    name: str
    version: str
    state: Literal["READY", "UNAVAILABLE"]
    reason: str = ""


class Repository:
    """What is served, and what could be. It changes in the event loop that serves, one change after another."""

    def __init__(self, plane: DataPlane, known: Known = tuple, load: Load | None = None) -> None:
        self._plane = plane
        self._known = known
        self._load = load
        self._changing = Lock()

    async def index(self, ready: bool = False) -> list[ModelState]:
        """Each version that is served, then the newest version of each model that is not; only the first if `ready`."""
        served = [(one.name, version) for one in self._served() for version in one.versions]
        found = [ModelState(name, version, "READY") for name, version in served]
        if ready:
            return found
        names = {name for name, _ in served}
        others = [pair for pair in await run_in_threadpool(self._known) if pair[0] not in names]
        return [*found, *(ModelState(name, version, "UNAVAILABLE", "not loaded") for name, version in others)]

    async def is_known(self, name: str) -> bool:
        """Whether there is such a model, served or not."""
        return any(state.name == name for state in await self.index())

    async def load(self, name: str, version: str = "") -> None:
        """Serve a version of a model beside those that are served; without one, its newest version instead of them.

        What is served already stays as it is.

        Raises:
            NotFound: there is no such model or version.
            Refused: this process serves what it was started with.
        """
        if self._load is None:
            raise _fixed(name)
        async with self._changing:
            before = self._served(name)
            if version and any(one.versions == (version,) for one in before):
                return
            found = await run_in_threadpool(self._load, name, version)
            if any(one.versions == found.versions for one in before):
                return
            self._plane.add(found)
            for one in before if not version else ():
                self._plane.remove(name, one.versions[0])

    async def unload(self, name: str, version: str = "") -> None:
        """Serve a version of a model no more; without one, none of its versions. Running requests are answered.

        Raises:
            NotFound: it is not served.
            Refused: this process serves what it was started with.
        """
        if self._load is None:
            raise _fixed(name)
        async with self._changing:
            found = [one for one in self._served(name) if version in ("", one.versions[0])]
            if not found:
                raise NotFound(f"No model {name!r}{f' of version {version}' * bool(version)} is served here.")
            for one in found:
                self._plane.remove(name, one.versions[0])

    async def follow(self, before: Sequence[Served], after: Sequence[Served]) -> None:
        """Serve `after` in the place of `before`; what was loaded beside them stays.

        Requests that wait are answered by what they asked.
        """
        async with self._changing:
            beside = [one for one in self._served() if one not in before and one not in after]
            self._plane.arrange([*after, *beside])

    def _served(self, name: str = "") -> list[Served]:
        return [turns.served for turns in self._plane.turns if name in ("", turns.served.name)]


def wanted_version(parameters: Mapping[str, Json]) -> str:
    """The version that the parameters of a request to load or unload name; empty where they name none.

    Raises:
        InvalidInput: they want what there is not.
    """
    unknown = sorted(parameters.keys() - {"version", "unload_dependents"})
    if unknown:
        raise InvalidInput(
            f"There is no parameter {', '.join(unknown)}.",
            hint="A model is loaded as it was registered; say a version.",
        )
    version = str(parameters.get("version", ""))
    if version and not (version.isdecimal() and len(version) <= _LONGEST_VERSION):
        raise InvalidInput(f"{version[:40]!r} is no version.", hint="Versions are numbers from 1.")
    return version


def _fixed(name: str) -> Refused:
    return Refused(
        f"This process serves what it was started with, so {name!r} stays as it is.",
        hint="Models come and go in a process of models: everloop serve models:/NAME/VERSION.",
    )
