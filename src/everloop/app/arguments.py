"""Arguments as text: how a query string and a command line spell the values that a use case takes."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import msgspec

from everloop.kernel.durations import duration
from everloop.kernel.errors import InvalidInput
from everloop.kernel.usecase import UseCase

Shape = Literal["text", "boolean", "list", "json"]
"""How a parameter is spelled: one text; true or false; a text for each element; or JSON."""
# Annotations are of any type form, so `Any` stands for them throughout.
_WORDS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


def shape_of(annotation: Any) -> Shape:
    """How values of a type are spelled."""
    arms = _arms(annotation)
    if arms == [bool]:
        return "boolean"
    if all(_is_scalar(arm) for arm in arms):
        return "text"
    if len(arms) == 1 and typing.get_origin(arms[0]) in (list, tuple, set, frozenset):
        return "list" if all(_is_scalar(arm) for arm in _arms(element_of(arms[0]))) else "json"
    return "json"


def element_of(annotation: Any) -> Any:
    """The type of a list's elements."""
    (arm,) = _arms(annotation)
    return (typing.get_args(arm) or (str,))[0]


def read(usecase: UseCase, texts: Mapping[str, Sequence[str]]) -> dict[str, object]:
    """The arguments that some texts spell, not yet checked against the signature; unknown names are left to `bind`.

    Raises:
        InvalidInput: a text is no number, no boolean, or no JSON, where one is wanted.
    """
    found: dict[str, object] = {}
    for name, values in texts.items():
        parameter = usecase.signature.parameters.get(name)
        try:
            found[name] = value_of(parameter.annotation, values) if parameter else values[-1]
        except (ValueError, RecursionError, InvalidInput) as error:
            raise InvalidInput(
                f"{usecase.name}: {name}={values[-1]!r} does not make sense ({error}).",
                hint=f"It takes {usecase.signature_text}.",
            ) from None
    return found


def value_of(annotation: Any, texts: Sequence[str]) -> object:
    """The value that texts spell: the last one counts, but for lists, where each is an element."""
    shape = shape_of(annotation)
    if shape == "list":
        return [_scalar(element_of(annotation), text) for text in texts]
    return msgspec.json.decode(texts[-1]) if shape == "json" else _scalar(annotation, texts[-1])


def texts_of(usecase: UseCase, arguments: Mapping[str, object]) -> dict[str, list[str]]:
    """The texts that spell arguments: what `read` turns back into them. Defaults are left out."""
    texts: dict[str, list[str]] = {}
    for name, value in arguments.items():
        parameter = usecase.signature.parameters[name]
        if value is None or (parameter.default is not parameter.empty and value == parameter.default):
            continue
        shape = shape_of(parameter.annotation)
        plain = msgspec.to_builtins(value)
        if shape == "list":
            texts[name] = [_spelled(element) for element in plain]
        else:
            texts[name] = [msgspec.json.encode(plain).decode() if shape == "json" else _spelled(plain)]
    return texts


def _spelled(plain: object) -> str:
    return plain if isinstance(plain, str) else msgspec.json.encode(plain).decode()


def _scalar(annotation: Any, text: str) -> object:
    arms = _arms(annotation)
    if any(isinstance(arm, type) and issubclass(arm, str) for arm in arms):
        return text
    for arm in arms:
        if arm is bool:
            return _boolean(text)
        if arm in (int, float):
            return msgspec.convert(text, float if float in arms else int, strict=False)
        if arm is datetime:
            return _time(text)
        if arm is timedelta and not text.upper().lstrip("+-").startswith("P"):
            return duration(text)
        if typing.get_origin(arm) is Literal:
            return _choice(arm, text)
    return text


def _time(text: str) -> datetime:
    """A time as ISO 8601 has it, or a date; in UTC unless it says otherwise."""
    at = datetime.fromisoformat(text)
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _choice(annotation: Any, text: str) -> object:
    return next((choice for choice in typing.get_args(annotation) if str(choice) == text), text)


def _boolean(text: str) -> bool:
    if text.lower() not in _WORDS:
        raise ValueError("write true or false")
    return _WORDS[text.lower()]


def _arms(annotation: Any) -> list[Any]:
    """The members of a union without None, with Annotated and NewType taken off."""
    while True:
        if isinstance(annotation, typing.NewType):
            annotation = annotation.__supertype__
        elif typing.get_origin(annotation) is typing.Annotated:
            annotation = typing.get_args(annotation)[0]
        else:
            break
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return [arm for part in typing.get_args(annotation) if part is not type(None) for arm in _arms(part)]
    return [annotation]


def _is_scalar(arm: Any) -> bool:
    if typing.get_origin(arm) is not None:
        return typing.get_origin(arm) is Literal
    return isinstance(arm, type) and not issubclass(arm, (msgspec.Struct, list, tuple, dict, set, frozenset))
