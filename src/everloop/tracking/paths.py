"""Paths of the files of runs: what they may be, at whatever door they come in."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from urllib.parse import unquote_to_bytes

from everloop.kernel.errors import InvalidInput

LONGEST_PATH = 500
_MOST_DISGUISES = 10
_ELSEWHERE = re.compile(r"[A-Za-z]:|[A-Za-z][A-Za-z0-9+.-]*:/")
"""A drive, or a scheme with a place."""


def checked(path: str) -> str:
    """The path without needless parts; neither it nor what is escaped in it may lead out, on any system.

    Raises:
        InvalidInput: it does, or has no form that a path has.
    """
    disguised = path
    for _ in range(_MOST_DISGUISES):
        if not _stays_inside(disguised):
            break
        shown = unquote_to_bytes(disguised).decode(errors="replace")
        if shown == disguised:
            return str(PurePosixPath(path))
        disguised = shown
    raise InvalidInput(
        f"{path[:80]!r} is not a path inside a run.",
        hint="Use a relative path without '..', backslash, '#' and drive, not escaped either.",
    )


def _stays_inside(path: str) -> bool:
    pure = PurePosixPath(path)
    return (
        not pure.is_absolute()
        and pure.parts != ()
        and ".." not in pure.parts
        and len(path) <= LONGEST_PATH
        and path.isprintable()
        and not any(sign in path for sign in "\\#\ufffd")  # What was no UTF-8 becomes U+FFFD.
        and not any(_ELSEWHERE.match(part) for part in (path, *pure.parts))
    )
