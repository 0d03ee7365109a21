"""Paths of artifacts as they come over the wire: unescaped, and refused in every disguise that leads out."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from urllib.parse import unquote_to_bytes

from everloop.kernel.errors import InvalidInput

_MOST_DISGUISES = 10
_LONGEST = 1000
_ELSEWHERE = re.compile(r"[A-Za-z]:|[A-Za-z][A-Za-z0-9+.-]*:/")
"""A drive, or a scheme with a place."""


def unescaped(sent: str) -> str:
    """A path as it was meant.

    Raises:
        InvalidInput: its bytes are no UTF-8.
    """
    try:
        return unquote_to_bytes(sent).decode()
    except UnicodeError:
        raise invalid() from None


def checked(path: str) -> str:
    """The path without needless parts; neither it nor what is escaped in it may lead out, on any system.

    Raises:
        InvalidInput: it does, or it has characters that clients stumble over.
    """
    disguised = path
    for _ in range(_MOST_DISGUISES):
        _check(disguised)
        shown = unescaped(disguised)
        if shown == disguised:
            return "" if path in ("", ".") else str(PurePosixPath(path))
        disguised = shown
    raise invalid()


def invalid() -> InvalidInput:
    """What to raise for a path that leads out: MLflow's own tests compare the message whole."""
    return InvalidInput("Invalid path")


def _check(path: str) -> None:
    parts = path.split("/")
    if (
        len(path) > _LONGEST
        or path.startswith("/")
        or ".." in parts
        or "\\" in path
        or any(sign in path for sign in "#\ufffd")  # What was no UTF-8 becomes U+FFFD in a query.
        or not path.isprintable()
        or any(_ELSEWHERE.match(part) for part in parts)
        or _ELSEWHERE.match(path)
    ):
        raise invalid()
