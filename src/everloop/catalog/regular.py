"""Regular expressions that callers write: those of RE2, which take time in proportion to the text.

Python's own can be kept busy for hours by a few characters, and nothing else runs meanwhile. pyarrow brings RE2.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Boolean, ColumnElement, literal
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from everloop.kernel.errors import InvalidInput

FUNCTION = "everloop_regular"
"""What SQLite calls `occurs` by."""


class _Regular(FunctionElement[bool]):
    """The column and the expression."""

    type = Boolean()
    inherit_cache = True


def regular(column: ColumnElement[Any], expression: str) -> ColumnElement[bool]:
    """Whether an expression occurs in a column's text.

    Raises:
        InvalidInput: it is no regular expression of RE2, which has neither back references nor looks around.
    """
    occurs("", expression)
    return _Regular(column, literal(expression))


@compiles(_Regular, "sqlite")
def _in_sqlite(element: _Regular, compiler: Any, **options: Any) -> str:
    return f"{FUNCTION}({', '.join(compiler.process(clause, **options) for clause in element.clauses)})"


@compiles(_Regular, "postgresql")
def _in_postgresql(element: _Regular, compiler: Any, **options: Any) -> str:
    return f"({' ~ '.join(compiler.process(clause, **options) for clause in element.clauses)})"


def occurs(text: str | None, expression: str) -> bool | None:
    """Whether an expression occurs in a text; nobody knows of a text that is not there.

    Raises:
        InvalidInput: it is no regular expression of RE2.
    """
    if text is None:
        return None
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        return bool(pc.match_substring_regex(pa.scalar(text, pa.string()), expression).as_py())
    except pa.ArrowInvalid as error:
        raise InvalidInput(
            f"{expression[:80]!r} is no regular expression ({error}).",
            hint="Write it as RE2 reads it: without back references and looks around.",
        ) from None
