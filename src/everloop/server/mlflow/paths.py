"""Paths of artifacts as they come over the wire: unescaped, and refused in every disguise that leads out."""

from __future__ import annotations

from urllib.parse import unquote_to_bytes

from everloop.kernel.errors import InvalidInput
from everloop.tracking import paths


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
    """The path without needless parts, empty for the root.

    Raises:
        InvalidInput: it or what is escaped in it leads out, or it has characters that clients stumble over.
    """
    if path in ("", "."):
        return ""
    try:
        return paths.checked(path)
    except InvalidInput:
        raise invalid() from None


def invalid() -> InvalidInput:
    """What to raise for a path that leads out: MLflow's own tests compare the message whole."""
    return InvalidInput("Invalid path")
