"""What a column can be to a view, by Arrow's name of its type: a key, a timestamp, a number."""

from __future__ import annotations

import re
from typing import Literal

from everloop.kernel.errors import InvalidInput

Kind = Literal["string", "int64"]
"""What a key is: a text, or a whole number."""

_TEXT = re.compile(r"(large_)?string(_view)?|dictionary<values=(large_)?string,.*|null")
_WHOLE = re.compile(r"u?int\d+|bool")
_NUMBER = re.compile(r"u?int\d+|float\d*|double|halffloat|bool|decimal\d+\(.*|null")
_TIME = re.compile(r"timestamp\[.*|date\d+\[.*")


def key_kind(arrow_type: str, column: str) -> Kind:
    """What kind of key a column of a type holds.

    Raises:
        InvalidInput: keys are texts or whole numbers, and this is neither.
    """
    if _TEXT.fullmatch(arrow_type):
        return "string"
    if _WHOLE.fullmatch(arrow_type):
        return "int64"
    raise InvalidInput(
        f"Key column {column!r} has type {arrow_type}.", hint="Keys are texts or whole numbers: derive such a column."
    )


def is_key(arrow_type: str) -> bool:
    """Whether a column of the type can tell entities apart."""
    return bool(_TEXT.fullmatch(arrow_type) or _WHOLE.fullmatch(arrow_type))


def is_number(arrow_type: str) -> bool:
    """Whether a column of the type can be a feature; wholly empty columns can."""
    return bool(_NUMBER.fullmatch(arrow_type))


def is_time(arrow_type: str) -> bool:
    """Whether a column of the type can be a timestamp."""
    return bool(_TIME.fullmatch(arrow_type))
