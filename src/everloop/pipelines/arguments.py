"""Arguments on their way into pipelines and steps."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Mapping
from datetime import datetime
from pathlib import PurePath

import msgspec

from everloop.kernel.errors import InvalidInput
from everloop.pipelines.declare import Pipeline


def bind(pipeline: Pipeline[..., object], arguments: Mapping[str, object]) -> dict[str, object]:
    """A pipeline's arguments by name, converted to its types, with defaults filled in.

    JSON is read by the parameters' annotations (a time from its ISO text, a Struct from an object); a text stands for
    a number where a number is wanted, as the command line needs it.

    Raises:
        InvalidInput: one is missing, unknown or of the wrong type.
    """
    signature = inspect.signature(pipeline.function)
    try:
        bound = signature.bind(**arguments)
    except TypeError as error:
        raise InvalidInput(
            f"Pipeline {pipeline.name}: {error}.", hint=f"It takes {', '.join(signature.parameters) or 'no arguments'}."
        ) from None
    bound.apply_defaults()
    hints = _hints(pipeline)
    given = {
        name: _converted(pipeline.name, name, value, hints[name]) if name in arguments and name in hints else value
        for name, value in bound.arguments.items()
    }
    return keywords(signature, given)


def keywords(signature: inspect.Signature, arguments: Mapping[str, object]) -> dict[str, object]:
    """Bound arguments as keywords.

    Raises:
        InvalidInput: the function has `*args` or positional-only parameters, which cannot be handed in by name.
    """
    given: dict[str, object] = {}
    for parameter in signature.parameters.values():
        if parameter.kind is parameter.VAR_KEYWORD:
            given |= typing.cast("dict[str, object]", arguments.get(parameter.name, {}))
        elif parameter.kind in (parameter.VAR_POSITIONAL, parameter.POSITIONAL_ONLY):
            raise InvalidInput(
                f"Parameter {parameter} can only be given by position.", hint="Take a list, or drop the slash."
            )
        elif parameter.name in arguments:
            given[parameter.name] = arguments[parameter.name]
    return given


def _hints(pipeline: Pipeline[..., object]) -> dict[str, object]:
    try:
        return typing.get_type_hints(pipeline.function)
    except NameError:
        return {}  # An annotation that exists for type checkers only.


def _converted(pipeline: str, name: str, value: object, hint: typing.Any) -> object:
    if isinstance(hint, type) and isinstance(value, hint) and not isinstance(value, bool):
        return value
    try:
        return msgspec.convert(value, hint, strict=not isinstance(value, str), dec_hook=_path)
    except msgspec.ValidationError as error:
        raise InvalidInput(f"Pipeline {pipeline}: {name}: {error}.", hint=_wanted(hint)) from None
    except (TypeError, NotImplementedError):
        return value  # A type that JSON has no form for, such as a table: handed in as it is.


def _wanted(hint: typing.Any) -> str:
    """What to write for a type."""
    if hint is datetime:
        return "Write a time with its zone, such as 2026-03-01T00:00:00Z."
    return f"It is declared as {inspect.formatannotation(hint)}."


def _path(kind: type, value: object) -> object:
    if isinstance(value, kind):
        return value
    if issubclass(kind, PurePath) and isinstance(value, str):
        return kind(value)
    raise NotImplementedError  # How a decoding hook tells msgspec that it does not know a type.
