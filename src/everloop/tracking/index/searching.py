"""Finding runs: the ids of a page from the index, then the runs from the catalog."""

from __future__ import annotations

from collections.abc import Sequence

from everloop.catalog.session import Session
from everloop.tracking.index import evaluation, paging
from everloop.tracking.index.columns import Rows
from everloop.tracking.index.expressions import Page, Search, check
from everloop.tracking.index.facts import dataset_facts
from everloop.tracking.index.reading import rows_of
from everloop.tracking.index.refresh import current
from everloop.tracking.index.table import RunTable
from everloop.tracking.runs import Row

MOST = 50_000
"""So many runs a page may have."""


def page(session: Session, search: Search) -> Page:
    """The ids of the runs that are wanted, in order, and the cursor of the next page.

    Raises:
        InvalidInput: a condition makes no sense, or the cursor belongs to another search.
    """
    with current(session) as index:
        return page_of(session, index.table, search)[1]


def found(session: Session, search: Search) -> tuple[list[Row], Page]:
    """The rows of the runs of a page, and the page.

    A run that was removed from the catalog, or that this unit of work began too early to see, is not on it.

    Raises:
        InvalidInput: a condition makes no sense, or the cursor belongs to another search.
    """
    with current(session) as index:
        while True:
            made = page_of(session, index.table, search)[1]
            rows = rows_of(session, made.ids)
            if len(rows) == len(made.ids):
                return rows, made
            index.doubt(_missing(made.ids, rows))


def page_of(session: Session, table: RunTable, search: Search) -> tuple[Rows, Page]:
    """The rows of a table that make up a page, and the page.

    Raises:
        InvalidInput: a condition makes no sense, or the cursor belongs to another search.
    """
    for condition in search.conditions:
        check(condition)
    rows = evaluation.wanted_rows(table, search, dataset_facts(session))
    order = paging.Order(table, search)
    total = len(rows)
    if search.after:
        rows = order.after(rows, paging.position_of(search.after, search, order.length))
    limit = max(0, min(search.limit, MOST))
    first = order.first(rows, limit)
    more = len(rows) > limit > 0
    cursor = paging.cursor_of(order.position(int(first[-1]), search)) if more else ""
    ids = table.identities.column
    return first, Page([ids.at(row).decode() for row in first.tolist()], cursor, total)


def _missing(ids: Sequence[str], rows: Sequence[Row]) -> list[str]:
    there = {row.id for row in rows}
    return [id for id in ids if id not in there]
