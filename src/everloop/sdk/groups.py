"""Use cases as methods: `platform.models.set_alias(…)`, the same in process and over HTTP."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any, Protocol

from everloop.kernel.errors import InvalidInput
from everloop.kernel.usecase import UseCase, named, published


class Caller(Protocol):
    """Where calls go: a platform in this process, or one that runs elsewhere."""

    def call(self, name: str, arguments: Mapping[str, object], *, project: str = "", key: str = "") -> Any:
        """Call a use case by name."""
        ...

    def close(self) -> None:
        """Give back connections."""
        ...


class Call:
    """One use case, ready to be called with the arguments of its signature."""

    def __init__(self, caller: Caller, usecase: UseCase, project: str) -> None:
        self._caller = caller
        self._usecase = usecase
        self._project = project
        self.__name__ = usecase.verb
        self.__doc__ = usecase.function.__doc__
        self.__signature__ = usecase.signature

    def __call__(self, *arguments: object, **named: object) -> Any:
        """Call it.

        Raises:
            InvalidInput: the arguments do not fit the signature.
            EverloopError: whatever the use case raises.
        """
        try:
            bound = self._usecase.signature.bind(*arguments, **named).arguments
        except TypeError as error:
            raise InvalidInput(
                f"{self._usecase.name}: {error}.", hint=f"It takes {self._usecase.signature_text}."
            ) from None
        return self._caller.call(self._usecase.name, bound, project=self._project)

    def __repr__(self) -> str:
        return f"<{self._usecase.name}({self._usecase.signature_text})>"


class Group:
    """The use cases whose names start with the same word."""

    def __init__(self, name: str, caller: Caller, project: str) -> None:
        self._name = name
        self._caller = caller
        self._project = project

    def __getattr__(self, verb: str) -> Call:
        usecase = named(f"{self._name}.{verb}")
        if usecase is None:
            raise AttributeError(f"there is no {self._name}.{verb}{_meant(verb, dir(self))}")
        return Call(self._caller, usecase, self._project)

    def __dir__(self) -> list[str]:
        return [usecase.verb for usecase in published().values() if usecase.group == self._name]


def groups() -> list[str]:
    """The names of the groups that have a use case."""
    return sorted({usecase.group for usecase in published().values()})


def group_of(name: str, caller: Caller, project: str) -> Group:
    """A group by its name.

    Raises:
        AttributeError: there is none.
    """
    if name not in groups():
        raise AttributeError(f"Everloop has no {name!r}{_meant(name, groups())}")
    return Group(name, caller, project)


def _meant(word: str, known: list[str]) -> str:
    near = difflib.get_close_matches(word, known, 1)
    return f"; did you mean {near[0]!r}?" if near else f"; there are: {', '.join(known)}"
