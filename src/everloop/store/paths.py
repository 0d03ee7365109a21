"""Paths in a tree: which are refused, and which are too much alike for every disk."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence

from everloop.kernel.errors import InvalidInput

LONGEST_NAME = 255
"""Bytes of UTF-8 that the usual file systems allow a name."""

_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f/\\\ud800-\udfff]")
_NO_NAMES = frozenset(("", ".", ".."))
_SURELY_SHORT = LONGEST_NAME // 4
"""A character has up to four bytes."""
_HINT = "Use relative paths of plain names, without '..', control characters and backslashes."


def check_name(name: str) -> str:
    """The name, when it may stand in a folder of a tree.

    Raises:
        InvalidInput: it is empty, `.` or `..`, longer than 255 bytes, or has a slash, a backslash, a control character
            or bytes that are no UTF-8 in it.
    """
    if name in _NO_NAMES or _FORBIDDEN.search(name) or _too_long(name):
        raise InvalidInput(f"{name!r} is no name for a file in a tree.", hint=_HINT)
    return name


def check_names(names: Sequence[str]) -> None:
    """Make sure that all of some names may stand in a folder, at a tenth of the cost of one after the other.

    Raises:
        InvalidInput: one may not; it is named.
    """
    longest = max(map(len, names), default=0)
    if longest > _SURELY_SHORT or _FORBIDDEN.search("".join(names)) or not _NO_NAMES.isdisjoint(names):
        for name in names:
            check_name(name)


def check_path(path: str) -> str:
    """The path, when it stays inside of a tree: names with single slashes between.

    Raises:
        InvalidInput: it does not.
    """
    try:
        for name in path.split("/"):
            check_name(name)
    except InvalidInput:
        raise InvalidInput(f"{path!r} is not a path inside a tree.", hint=_HINT) from None
    return path


def twins(paths: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Pairs of paths that are one file on a disk that folds case or Unicode forms (macOS, Windows)."""
    seen: dict[str, str] = {}
    for path in paths:
        folded = path if path.isascii() and path.islower() else _folded(path)
        first = seen.setdefault(folded, path)
        if first != path:
            yield first, path


def _folded(path: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())


def _too_long(name: str) -> bool:
    return len(name) > _SURELY_SHORT and len(name.encode()) > LONGEST_NAME
