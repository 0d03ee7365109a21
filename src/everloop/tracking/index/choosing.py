"""Tables of chosen columns, out of the index alone: no run's document is read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import cast

import numpy as np

from everloop.catalog.session import Session
from everloop.kernel.errors import InvalidInput
from everloop.kernel.usecase import Json
from everloop.tracking.index.columns import Rows
from everloop.tracking.index.entities import RunsTable
from everloop.tracking.index.expressions import Search, Value
from everloop.tracking.index.fields import field_of
from everloop.tracking.index.refresh import current
from everloop.tracking.index.searching import page_of
from everloop.tracking.index.table import RunTable
from everloop.tracking.search import parse_field

_FAMILIES = {"metrics.*": "metrics", "parameters.*": "parameters", "params.*": "parameters", "tags.*": "tags"}
MOST_CELLS = 5_000_000
"""So many values a table may have."""


def table(session: Session, search: Search, columns: Sequence[str]) -> RunsTable:
    """Chosen columns of a page of runs.

    Raises:
        InvalidInput: a column does not exist, or the table would be too large.
    """
    with current(session) as index:
        rows, page = page_of(session, index.table, search)
        names = list(_named(index.table, rows, columns))
        if len(names) * len(rows) > MOST_CELLS:
            raise InvalidInput(
                f"The table would have {len(rows):,} rows of {len(names):,} columns.",
                hint=f"Choose fewer columns or runs: up to {MOST_CELLS:,} values.",
            )
        values = [column(index.table, name, rows) for name in names]
    cells = [[_json(value) for value in one] for one in values]
    found: list[list[Json]] = [list(row) for row in zip(*cells, strict=True)] if cells else []
    return RunsTable(names, found, page.total, page.cursor)


def explaining(session: Session, search: Search, metric: str) -> tuple[list[float], dict[str, list[str | None]]]:
    """The finite values of a metric in found runs, and beside them the parameters of these."""
    with current(session) as index:
        rows = np.sort(page_of(session, index.table, search)[0])
        known = index.table.metrics.get(metric)
        rows = rows[np.isfinite(known.take(rows))] if known is not None else rows[:0]
        parameters = {key: texts.texts(rows) for key, texts in index.table.parameters.items() if texts.any(rows)}
        return ([] if known is None else known.take(rows).tolist()), parameters


def column(table: RunTable, name: str, rows: Rows) -> list[Value]:
    """The values of a named column in rows, in whatever order these are.

    Raises:
        InvalidInput: there is no such column.
    """
    kind, key = parse_field(name)
    ascending = np.argsort(rows, kind="stable")
    found: list[Value] = [None] * len(rows)
    for place, value in zip(ascending.tolist(), field_of(table, kind, key).values(rows[ascending]), strict=True):
        found[place] = value
    return found


def _named(table: RunTable, rows: Rows, columns: Sequence[str]) -> Iterator[str]:
    """The columns, with families written out as those that one of the runs has."""
    ascending = np.sort(rows)
    for name in _split(columns):
        family = _FAMILIES.get(name)
        if family is None:
            yield name
            continue
        known = getattr(table, family)
        for key in sorted(known):
            if known[key].any(ascending):
                yield f"{family}.{_quoted(key)}"


def _split(columns: Sequence[str]) -> Iterator[str]:
    """The names of columns; one text may have several with commas between, unless a key stands in backticks."""
    for text in columns:
        yield from [text] if "`" in text else (name.strip() for name in text.split(","))


def _quoted(key: str) -> str:
    plain = key.replace("/", "").replace("-", "").replace("_", "").isalnum() and key.isascii() and key[0].isalpha()
    return key if plain else f"`{key}`"


def _json(value: Value) -> Json:
    return value.isoformat() if isinstance(value, datetime) else cast(Json, value)
