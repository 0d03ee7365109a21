"""LIKE: `%` is any text, `_` any character. Matching takes time in proportion to the text, whatever the pattern.

It is the same in Python and in every database: their own LIKE minds case in one and not in the other, and a regular
expression of Python's, which SQLite would use, can be kept busy for hours by a pattern with some `%`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

from sqlalchemy import Boolean, ColumnElement, literal
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

FUNCTION = "everloop_like"
"""What SQLite calls `holds` by."""


class _Like(FunctionElement[bool]):
    """The column, the pattern, whether case is ignored, and all that as a regular expression."""

    type = Boolean()
    inherit_cache = True


def like(column: ColumnElement[Any], pattern: str, *, ignoring_case: bool = False) -> ColumnElement[bool]:
    """Whether a column's text is as a pattern says."""
    parts = (".*" if part == "%" else "." if part == "_" else re.escape(part) for part in re.split("([%_])", pattern))
    regular = f"(?{'i' if ignoring_case else ''}s)^(?:{''.join(parts)})\\Z"
    return _Like(column, literal(pattern), literal(int(ignoring_case)), literal(regular))


@compiles(_Like, "sqlite")
def _in_sqlite(element: _Like, compiler: Any, **options: Any) -> str:
    column, pattern, ignoring_case, _ = (compiler.process(clause, **options) for clause in element.clauses)
    return f"{FUNCTION}({column}, {pattern}, {ignoring_case})"


@compiles(_Like, "postgresql")
def _in_postgresql(element: _Like, compiler: Any, **options: Any) -> str:
    column, _, _, regular = list(element.clauses)
    return f"({compiler.process(column, **options)} ~ {compiler.process(regular, **options)})"


def holds(text: str | None, pattern: str, ignoring_case: int) -> bool | None:
    """Whether a text is as a pattern says; as with any comparison of SQL, nobody knows of a text that is not there."""
    return None if text is None else _matcher(pattern, bool(ignoring_case))(text)


@lru_cache(maxsize=64)
def _matcher(pattern: str, ignoring_case: bool) -> Callable[[str], bool]:
    return matcher(pattern, ignoring_case=ignoring_case)


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
