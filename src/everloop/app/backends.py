"""Backends by entry point: the groups that this project and third parties register them in."""

from __future__ import annotations

from functools import cache
from importlib.metadata import entry_points
from typing import Any

from everloop.kernel.errors import Misconfigured


@cache
def names(kind: str) -> tuple[str, ...]:
    """The backends of a kind (`blobs`, `flavors`, …) that are installed."""
    return tuple(sorted(point.name for point in entry_points(group=f"everloop.{kind}")))


@cache
def load(kind: str, name: str) -> Any:
    """The object that a backend's entry point names: a function that opens it, of the kind's own type.

    Raises:
        Misconfigured: no such backend is installed, or it lacks a library.
    """
    found = entry_points(group=f"everloop.{kind}", name=name)
    if not found:
        raise Misconfigured(
            f"There is no backend {name!r} for {kind}.", hint=f"Installed: {', '.join(names(kind)) or 'none'}."
        )
    try:
        return next(iter(found)).load()
    except ModuleNotFoundError as error:
        raise Misconfigured(
            f"The backend {name!r} for {kind} needs {error.name}.", hint=f"pip install 'everloop[{name}]'"
        ) from None
