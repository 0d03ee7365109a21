"""Which use case a path names. Segments are matched as they were sent, so that a value may hold an escaped slash."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import unquote

from everloop.kernel.usecase import UseCase

Found = dict[str, tuple[UseCase, dict[str, str]]]
"""By method: the use case and its path parameters."""


class Routes:
    """Every use case under its method and path; a fixed segment goes before a parameter in the same place."""

    def __init__(self, usecases: Iterable[UseCase]) -> None:
        self._by_length: dict[int, list[tuple[list[str], UseCase]]] = {}
        taken: dict[str, str] = {}
        for usecase in usecases:
            pattern = _segments(usecase.path)
            route = " ".join([usecase.method, *("{}" if part.startswith("{") else part for part in pattern)])
            if taken.setdefault(route, usecase.name) != usecase.name:
                raise ValueError(f"{usecase.name} and {taken[route]} have the same route")
            self._by_length.setdefault(len(pattern), []).append((pattern, usecase))
        for routes in self._by_length.values():
            routes.sort(key=lambda route: [part.startswith("{") for part in route[0]])

    def at(self, path: str) -> Found:
        """What there is at a path. The path is as it was sent, not yet unescaped."""
        segments = _segments(path)
        found: Found = {}
        for pattern, usecase in self._by_length.get(len(segments), ()):
            if usecase.method not in found and _fits(pattern, segments):
                values = [unquote(sent) for part, sent in zip(pattern, segments, strict=True) if part.startswith("{")]
                found[usecase.method] = (usecase, dict(zip(usecase.path_parameters, values, strict=True)))
        return found


def _fits(pattern: list[str], segments: list[str]) -> bool:
    return all(part == sent or part.startswith("{") for part, sent in zip(pattern, segments, strict=True))


def _segments(path: str) -> list[str]:
    return path.strip("/").split("/")
