"""What a text stands for, where a model takes more than one value of one type: times, lists, objects, maps.

Such a column is one of texts wherever it travels or is kept, and what MLflow's schema says of it (its form) holds them:
a time as ISO 8601 has it, anything else as JSON. What the model is handed at last is what the texts stand for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any

import msgspec

from everloop.kernel.errors import InvalidInput
from everloop.registry.entities import Field

DATETIME = "datetime"
NESTED = frozenset({"array", "object", "map", "any"})
_DEPTH = 16
_SHOWN = 80
_Check = Callable[[object], str]
"""Says what is wrong with a value, "" for nothing."""


def form_of(part: Mapping[str, Any]) -> str:
    """The form of a column, out of MLflow's schema; "" for what is no more than a value of one type.

    Raises:
        InvalidInput: the schema says nothing that can be held to.
    """
    if part.get("type") != DATETIME and part.get("type") not in NESTED:
        return ""
    form = msgspec.json.encode({key: part[key] for key in ("type", "items", "properties", "values") if key in part})
    _check_of(form.decode())
    return form.decode()


def worded(part: Mapping[str, Any], depth: int = 0) -> str:
    """A type of MLflow's, nested as it may be: `double`, `[long]`, `{a: string, b: datetime (optional)}`."""
    if depth > _DEPTH:
        return "…"
    items, values, fields, spec = part.get("items"), part.get("values"), part.get("properties"), part.get("tensor-spec")
    if part.get("type") == "array" and isinstance(items, Mapping):
        text = f"[{worded(items, depth + 1)}]"
    elif part.get("type") == "map" and isinstance(values, Mapping):
        text = f"map of {worded(values, depth + 1)}"
    elif part.get("type") == "object" and isinstance(fields, Mapping):
        known = {str(name): field for name, field in fields.items() if isinstance(field, Mapping)}
        text = f"{{{', '.join(f'{name}: {worded(field, depth + 1)}' for name, field in known.items())}}}"
    elif isinstance(spec, Mapping):
        text = f"tensor of {spec.get('dtype')} {spec.get('shape')}"
    else:
        text = str(part.get("type"))
    return f"{text} (optional)" if part.get("required") is False else text


def spelled(field: Field) -> str:
    """The type of a column as people read it."""
    return worded(_decoded(field.form)) if field.form else field.type


def texts_of(field: Field, values: Iterable[object]) -> list[str | None]:
    """Values out of decoded JSON, or as models give them, as texts; what is missing stays so.

    Raises:
        TypeError: one is of a kind that JSON does not have.
    """
    if is_time(field):
        return [_time_text(value) for value in values]
    return [None if value is None else _encoded(value) for value in values]


def values_of(field: Field, texts: Iterable[str | None]) -> list[Any]:
    """What texts stand for, as models take it: times of the standard library, and what JSON decodes to.

    Raises:
        InvalidInput: a text is not of the field's form.
    """
    return [None if text is None else _read(field, text) for text in texts]


def shown(field: Field, texts: Iterable[str | None]) -> list[Any]:
    """What the texts of an output stand for, as JSON shows it."""
    return list(texts) if is_time(field) else [None if text is None else _decoded(text) for text in texts]


def problem(field: Field, texts: Iterable[object]) -> str:
    """What is wrong with the texts of a column, "" for nothing."""
    check = _check_of(str(field.form))
    for text in texts:
        if text is None:
            continue
        try:
            told = check(_read(field, str(text)))
        except InvalidInput as error:
            return error.message
        if told:
            return f"{field.name}: {told}"
    return ""


def sample(field: Field) -> str:
    """A text that is of a field's form, to try a model with."""
    return "2024-01-01T00:00:00" if is_time(field) else _encoded(_example(_decoded(str(field.form))))


def is_time(field: Field) -> bool:
    """Whether the texts of a column are times."""
    return '"type":"datetime"' in str(field.form)[:19]


def _encoded(value: object) -> str:
    return msgspec.json.encode(value, enc_hook=_plain).decode()


def _plain(value: Any) -> object:
    """What models give as numbers, lists and times of NumPy's and pandas'."""
    if hasattr(value, "isoformat"):
        return None if value != value else value.isoformat()  # Only pandas' NaT is not itself.
    if hasattr(value, "tolist"):  # Times are counts of nanoseconds to `tolist`.
        return (value.astype(str) if value.dtype.kind == "M" else value).tolist()
    raise TypeError(f"no JSON for {type(value).__name__}")


def _time_text(value: object) -> str | None:
    if value is None or value != value:
        return None
    return value if isinstance(value, str) else _encoded(value).strip('"')


def _decoded(text: str) -> Any:
    return msgspec.json.decode(text)


def _read(field: Field, text: str) -> Any:
    try:
        return datetime.fromisoformat(text) if is_time(field) else _decoded(text)
    except (ValueError, RecursionError) as error:
        what = "no time as ISO 8601 writes it" if is_time(field) else f"no JSON ({error})"
        raise InvalidInput(f"{field.name}: {text[:_SHOWN]!r} is {what}.") from None


@lru_cache(maxsize=256)
def _check_of(form: str) -> _Check:
    return _checked(_decoded(form), 0)


def _checked(part: Any, depth: int) -> _Check:
    if depth > _DEPTH or not isinstance(part, Mapping):
        raise InvalidInput("The signature is nested too deep, or has a part without a type.")
    kind = str(part.get("type"))
    if kind == "array":
        return _array(_checked(part.get("items"), depth + 1))
    if kind == "map":
        return _map(_checked(part.get("values"), depth + 1))
    if kind == "object" and isinstance(part.get("properties"), Mapping):
        properties = part["properties"]
        checks = {str(name): _checked(it, depth + 1) for name, it in properties.items()}
        return _object(checks, {str(name) for name, it in properties.items() if it.get("required") is not False})
    if kind not in _SCALARS:
        raise InvalidInput(f"There is no type {kind[:_SHOWN]} in MLflow's signatures.")
    accepted, said = _SCALARS[kind]
    return lambda value: "" if accepted(value) else f"{_encoded(value)[:_SHOWN]} is no {said}."


def _array(item: _Check) -> _Check:
    def check(value: object) -> str:
        if not isinstance(value, list):
            return f"{_encoded(value)[:_SHOWN]} is no list."
        return next((told for one in value if (told := item(one))), "")

    return check


def _map(item: _Check) -> _Check:
    def check(value: object) -> str:
        if not isinstance(value, dict):
            return f"{_encoded(value)[:_SHOWN]} is no map."
        return next((f"at {name!r}, {told}" for name, one in value.items() if (told := item(one))), "")

    return check


def _object(properties: Mapping[str, _Check], required: set[str]) -> _Check:
    def check(value: object) -> str:
        if not isinstance(value, dict):
            return f"{_encoded(value)[:_SHOWN]} is no object."
        if missing := sorted(required - value.keys()):
            return f"the object lacks {', '.join(missing)}."
        if unknown := sorted(value.keys() - properties.keys()):
            return f"the object has {', '.join(unknown)[:_SHOWN]}, which the signature does not know."
        given = ((name, one) for name, one in value.items() if one is not None or name in required)
        return next((f"in {name!r}, {told}" for name, one in given if (told := properties[name](one))), "")

    return check


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _whole(bits: int) -> Callable[[object], bool]:
    low, high = -(1 << bits - 1), 1 << bits - 1
    return lambda value: isinstance(value, int) and not isinstance(value, bool) and low <= value < high


def _is_time_text(value: object) -> bool:
    if isinstance(value, datetime):
        return True
    try:
        return isinstance(value, str) and bool(datetime.fromisoformat(value))
    except ValueError:
        return False


_SCALARS: dict[str, tuple[Callable[[object], bool], str]] = {
    "boolean": (lambda value: isinstance(value, bool), "boolean"),
    "integer": (_whole(32), "whole number of 32 bits"),
    "long": (_whole(64), "whole number of 64 bits"),
    "float": (_is_number, "number"),
    "double": (_is_number, "number"),
    "string": (lambda value: isinstance(value, str), "text"),
    "binary": (lambda value: isinstance(value, str), "text in base64"),
    DATETIME: (_is_time_text, "time as ISO 8601 writes it"),
    "any": (lambda value: True, "value"),
}


def _example(part: Mapping[str, Any]) -> object:
    kind = part["type"]
    if kind == "object":
        return {name: _example(it) for name, it in part["properties"].items()}
    if kind in ("array", "map"):
        return [_example(part["items"])] if kind == "array" else {"a": _example(part["values"])}
    return {"boolean": False, "string": "", "binary": "", DATETIME: "2024-01-01", "any": None}.get(kind, 0)
