"""MLflow's limits on names and values, in the words of its validators: name and value of what is wrong."""

from __future__ import annotations

import posixpath
import re
from functools import lru_cache

import msgspec

from everloop.kernel.errors import InvalidInput
from everloop.kernel.usecase import Json
from everloop.tracking.words import check_text

LONGEST_KEY = 250
LONGEST_PARAMETER = 6000
LONGEST_TAG = 8000
LONGEST_SHOWN = 200
"""So many characters of a value are said back."""
INT64 = 1 << 63
_KEY = re.compile(r"[/\w.\- :]*")
_HIDING = re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_CHARACTERS = (
    "Names may only contain alphanumerics, underscores (_), dashes (-), periods (.), spaces ( ), colon(:) and"
    " slashes (/)."
)


def invalid(path: str, value: Json, why: str = "") -> InvalidInput:
    """The error that a field has a value that it cannot have."""
    shown = msgspec.json.encode(value).decode()
    shown = shown if len(shown) <= LONGEST_SHOWN else f"{shown[:LONGEST_SHOWN]}..."
    return InvalidInput(f"Invalid value {shown} for parameter '{path}' supplied" + (f": {why}" if why else "."))


def missing(path: str) -> InvalidInput:
    """The error that a field is not there."""
    return InvalidInput(f"Missing value for required parameter '{path}'.")


def too_long(name: str, longest: int) -> InvalidInput:
    """The error that something has too many characters."""
    return InvalidInput(f"'{name}' exceeds the maximum length of {longest} characters")


def required(path: str, value: str) -> str:
    """A value that must be there.

    Raises:
        InvalidInput: it is empty.
    """
    if not value:
        raise missing(path)
    return value


@lru_cache(maxsize=16_384)
def check_key(key: str, path: str, name: str) -> None:
    """Let the key of a metric, parameter or tag through: `path` says where it stands, `name` what it is.

    Raises:
        InvalidInput: it is missing, too long, or no name that could be a file's.
    """
    required(path, key)
    if not _KEY.fullmatch(key):
        raise invalid(path, key, _CHARACTERS)
    normal = posixpath.normpath(key)
    if normal != key or normal == "." or normal.startswith(("..", "/")):
        raise invalid(
            path,
            key,
            "Names may be treated as files in certain cases, and must not resolve to other names when treated as"
            f" such. This name would resolve to {normal!r}",
        )
    if len(key) > LONGEST_KEY:
        raise too_long(name, LONGEST_KEY)


def check_name(path: str, name: str) -> None:
    """Let the name of an experiment, run or model through: any text that can be shown as it is.

    Raises:
        InvalidInput: it has a control character, or one that turns the writing around.
    """
    check_text(path, name)
    if not name.isprintable() and _HIDING.search(name):
        raise invalid(path, name, "It has a control character, or one that turns the writing around")


def kept(key: str, value: str, longest: int) -> str:
    """A value as it is kept: cut where it is too long.

    Raises:
        InvalidInput: it holds a character that no database keeps.
    """
    check_text(key, value)
    return value[:longest]


def size_of_page(size: int, most: int, name: str = "max_results") -> int:
    """How many a page may hold.

    Raises:
        InvalidInput: it is less than one or more than `most`.
    """
    if size < 1:
        raise invalid(name, size, "It must be a positive integer")
    if size > most:
        raise invalid(name, size, f"It must be at most {most}")
    return size
