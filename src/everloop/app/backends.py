"""Backends by entry point: the groups that this project and third parties register them in."""

from __future__ import annotations

import importlib
from functools import cache
from typing import Any

from everloop.kernel.errors import Misconfigured

_HERE = "everloop.backends"
OURS: dict[str, dict[str, str]] = {
    "databases": {
        "sqlite": f"{_HERE}.databases.sqlite:open_database",
        "postgresql": f"{_HERE}.databases.postgresql:open_database",
    },
    "blobs": {
        "file": f"{_HERE}.blobs.folder:open_blobs",
        "s3": f"{_HERE}.blobs.s3:open_blobs",
        "gs": f"{_HERE}.blobs.gcs:open_blobs",
        "az": f"{_HERE}.blobs.azure:open_blobs",
    },
    "streams": {
        "file": f"{_HERE}.streams.file:open_stream",
        "redis": f"{_HERE}.streams.redis:open_stream",
    },
    "stream_results": {
        "file": f"{_HERE}.streams.file:open_results",
        "redis": f"{_HERE}.streams.redis:open_results",
    },
}
"""Our own of the kinds that every start needs, as they are registered: looking through the entry points of everything
that is installed costs 60 ms."""


@cache
def names(kind: str) -> tuple[str, ...]:
    """The backends of a kind (`blobs`, `flavors`, …) that are installed."""
    from importlib.metadata import entry_points

    return tuple(sorted(point.name for point in entry_points(group=f"everloop.{kind}")))


@cache
def load(kind: str, name: str) -> Any:
    """The object that a backend's entry point names: a function that opens it, of the kind's own type.

    Raises:
        Misconfigured: no such backend is installed, or it lacks a library.
    """
    try:
        ours = OURS.get(kind, {}).get(name)
        return _ours(ours) if ours else _registered(kind, name)
    except ModuleNotFoundError as error:
        raise Misconfigured(
            f"The backend {name!r} for {kind} needs {error.name}.", hint=f"pip install 'everloop[{name}]'"
        ) from None


def _ours(place: str) -> Any:
    module, _, attribute = place.partition(":")
    return getattr(importlib.import_module(module), attribute)


def _registered(kind: str, name: str) -> Any:
    from importlib.metadata import entry_points

    found = entry_points(group=f"everloop.{kind}", name=name)
    if not found:
        raise Misconfigured(
            f"There is no backend {name!r} for {kind}.", hint=f"Installed: {', '.join(names(kind)) or 'none'}."
        )
    return next(iter(found)).load()
