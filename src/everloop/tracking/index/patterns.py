"""LIKE: `%` is any text, `_` any character. Matching takes time in proportion to the text, whatever the pattern."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial


def matcher(pattern: str, *, ignoring_case: bool = False) -> Callable[[str], bool]:
    """Whether a text is as a pattern says.

    >>> matcher("a%_c")("abbc")
    True
    """
    quick = None if ignoring_case else _quick(pattern)
    if quick is not None:
        return quick
    pieces = [_piece(piece, ignoring_case) for piece in pattern.split("%")]
    if len(pieces) == 1:
        return lambda text: pieces[0].fullmatch(text) is not None
    first, *middle, last = pieces
    length = len(pattern.rpartition("%")[2])

    def matches(text: str) -> bool:
        # A piece that is found as early as can be leaves the most to those after it, so none is tried twice.
        found = first.match(text)
        for piece in middle:
            if found is None:
                return False
            found = piece.search(text, found.end())
        return (
            found is not None and found.end() <= len(text) - length and last.match(text, len(text) - length) is not None
        )

    return matches


def _quick(pattern: str) -> Callable[[str], bool] | None:
    """What needs no regular expression: a text that begins with, ends with or contains another."""
    plain = pattern.strip("%")
    if "_" in plain or "%" in plain or pattern.count("%") > 2:
        return None
    if pattern.startswith("%"):
        return (lambda text: plain in text) if len(pattern) > 1 and pattern.endswith("%") else partial(_ends, plain)
    return (lambda text: text.startswith(plain)) if pattern.endswith("%") else (lambda text: text == plain)


def _ends(plain: str, text: str) -> bool:
    return text.endswith(plain)


def _piece(text: str, ignoring_case: bool) -> re.Pattern[str]:
    written = "".join("." if character == "_" else re.escape(character) for character in text)
    return re.compile(written, re.DOTALL | (re.IGNORECASE if ignoring_case else 0))
