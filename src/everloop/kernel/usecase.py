"""One use case, one function, three doors.

A use case is a plain typed function whose first parameter is the session. Publishing it with `@usecase` gives it a
name, a permission and a route; the doors (SDK, command line, REST) are made from its signature.
"""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import cached_property
from typing import Literal, TypeVar

import msgspec

from everloop.kernel.errors import InvalidInput

Method = Literal["GET", "PUT", "POST", "PATCH", "DELETE"]
F = TypeVar("F", bound=Callable[..., object])
Json = None | bool | int | float | str | list[typing.Any] | dict[str, typing.Any]
"""Any JSON value. `Any` because the shape is really unknown."""

_PATH_PARAMETER = re.compile(r"\{(\w+)\}")
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_published: dict[str, UseCase] = {}


class UseCase:
    """A published function: what the doors need to know of it."""

    def __init__(
        self,
        name: str,
        function: Callable[..., object],
        permission: str,
        route: str,
        *,
        long: bool,
        secret: bool,
        before: Callable[..., dict[str, object] | None] | None = None,
    ) -> None:
        method, _, path = route.partition(" ")
        self.name = name
        self.function = function
        self.permission = permission
        self.method = typing.cast(Method, method)
        self.path = path
        self.long = long
        self.secret = secret
        self.before = before

    @property
    def reads_only(self) -> bool:
        """Whether it changes nothing."""
        return self.method == "GET"

    @property
    def repeatable(self) -> bool:
        """Whether its answer may be kept under an idempotency key, so that a repeated call happens once."""
        return not (self.reads_only or self.long or self.secret)

    @property
    def group(self) -> str:
        """The first half of the name: `models` of `models.set_alias`."""
        return self.name.partition(".")[0]

    @property
    def verb(self) -> str:
        """The second half of the name: `set_alias` of `models.set_alias`."""
        return self.name.partition(".")[2]

    @property
    def summary(self) -> str:
        """The first sentence of the docstring."""
        return (inspect.getdoc(self.function) or "").partition("\n")[0]

    @property
    def path_parameters(self) -> list[str]:
        """The parameters that stand in the route, in order."""
        return _PATH_PARAMETER.findall(self.path)

    @cached_property
    def signature(self) -> inspect.Signature:
        """The signature without the session, with annotations resolved."""
        hints = typing.get_type_hints(self.function, include_extras=True)
        found = inspect.signature(self.function)
        parameters = [p.replace(annotation=hints[p.name]) for p in list(found.parameters.values())[1:]]
        return found.replace(parameters=parameters, return_annotation=hints["return"])

    @cached_property
    def arguments(self) -> type[msgspec.Struct]:
        """The arguments as a Struct, for checking and for JSON schemas."""
        fields: list[tuple[str, typing.Any] | tuple[str, typing.Any, typing.Any]] = []
        for parameter in self.signature.parameters.values():
            if parameter.default is parameter.empty:
                fields.append((parameter.name, parameter.annotation))
            else:
                fields.append((parameter.name, parameter.annotation, parameter.default))
        title = "".join(part.title() for part in re.split(r"[._]", self.name)) + "Arguments"
        return msgspec.defstruct(title, fields, kw_only=True, forbid_unknown_fields=True)

    @property
    def result(self) -> typing.Any:
        """The type of the answer (any type form, so `Any`)."""
        return self.signature.return_annotation

    def bind(self, arguments: Mapping[str, object], *, strict: bool = True) -> dict[str, object]:
        """The arguments, checked and converted; `strict=False` reads numbers and booleans out of strings.

        Raises:
            InvalidInput: an argument is missing, unknown, of the wrong type, or holds what no database can keep.
        """
        _check_values(self.name, arguments)
        try:
            bound = msgspec.convert(_plain(self.name, arguments), self.arguments, strict=strict)
        except msgspec.ValidationError as error:
            raise InvalidInput(f"{self.name}: {error}.", hint=f"It takes {self.signature_text}.") from None
        return {name: getattr(bound, name) for name in self.signature.parameters}

    @property
    def signature_text(self) -> str:
        """The parameters as a reader writes them: `name, alias, version=1`."""
        parts = [
            p.name if p.default is p.empty else f"{p.name}={p.default!r}" for p in self.signature.parameters.values()
        ]
        return ", ".join(parts) or "no arguments"


def _plain(name: str, arguments: Mapping[str, object]) -> object:
    """The arguments without Structs: those that were made in Python have not been checked by anybody yet."""
    try:
        return msgspec.to_builtins(dict(arguments), builtin_types=(bytes, datetime, timedelta))
    except TypeError as error:
        raise InvalidInput(f"{name}: {error}.", hint="Send plain values, or what Everloop itself gives.") from None


def _check_values(name: str, arguments: Mapping[str, object]) -> None:
    """Refuse texts that only some databases could keep: with NUL characters, or halves of characters."""
    try:
        written = msgspec.json.encode(arguments, enc_hook=str)
    except UnicodeEncodeError:
        raise InvalidInput(f"{name}: a text holds half of a character.", hint="Send valid Unicode.") from None
    if b"\\u0000" in written and _NUL.search(written):
        raise InvalidInput(f"{name}: a text holds a NUL character.", hint="Leave it out.")


def usecase(
    name: str,
    *,
    permission: str,
    route: str,
    long: bool = False,
    secret: bool = False,
    before: Callable[..., dict[str, object] | None] | None = None,
) -> Callable[[F], F]:
    """Publish a function through all three doors; the function itself stays as it is.

    Args:
        name: `group.verb`, such as `models.set_alias`.
        permission: `area:action`, such as `models:write`.
        route: method and path below `/api/v1`, such as `PUT /models/{name}/aliases/{alias}`.
        long: it runs for more than a moment, so it is given no open transaction and begins its own units of work.
        secret: its answer is shown once and never kept.
        before: called with the same arguments and a session that has not begun, for what takes a while and may happen
            twice, so that the transaction holds nobody up. What it gives are arguments for the function.
    """

    def publish(function: F) -> F:
        if name in _published:
            raise ValueError(f"two use cases are called {name}")
        _published[name] = UseCase(name, function, permission, route, long=long, secret=secret, before=before)
        return function

    return publish


def published() -> Mapping[str, UseCase]:
    """Every use case of the areas that have been loaded, by name."""
    return dict(sorted(_published.items()))


def named(name: str) -> UseCase | None:
    """The use case of that name, if its area has been loaded; every call asks, so nothing is sorted for it."""
    return _published.get(name)
