"""Paths in a tree: which are refused, and which are too much alike for every disk."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence

from everloop.kernel.errors import InvalidInput

LONGEST_NAME = 255
"""Bytes of UTF-8 that the usual file systems allow a name."""
DEEPEST = 255
"""So many folders may be in each other: more are no work of people, and no disk has them on a path."""

_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f/\\\ud800-\udfff]")
_NO_NAMES = frozenset(("", ".", ".."))
_SURELY_SHORT = LONGEST_NAME // 4
"""A character has up to four bytes."""
_SHOWN = 60
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
    check_depth(path)
    try:
        for name in path.split("/"):
            check_name(name)
    except InvalidInput:
        raise InvalidInput(f"{path!r} is not a path inside a tree.", hint=_HINT) from None
    return path


def check_depth(path: str) -> None:
    """Make sure that a path is not too deep to be worked with.

    Raises:
        InvalidInput: it leads through more than `DEEPEST` folders.
    """
    if path.count("/") > DEEPEST:
        raise InvalidInput(
            f"{path[:_SHOWN]!r}… is more than {DEEPEST} folders deep.", hint="Keep it as an archive, in one file."
        )


def leads_out(path: str, target: str) -> bool:
    """Whether a link at a path of a tree may point to something outside of the tree.

    A step back after a name counts as one: the name may be a link, and what is above its target is elsewhere.
    """
    steps = [step for step in target.split("/") if step not in ("", ".")]
    back = next((count for count, step in enumerate(steps) if step != ".."), len(steps))
    return not target or target.startswith("/") or ".." in steps[back:] or back > path.count("/")


def checked_link(path: str, target: str) -> str:
    """A link's target, when it stays inside of the tree.

    Raises:
        InvalidInput: it leads out of it.
    """
    if leads_out(path, target):
        raise InvalidInput(
            f"The link {path!r} leads out of the folder, to {target!r}.",
            hint="Put the file itself there, make the link relative, or name it in .everloopignore.",
        )
    return target


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
