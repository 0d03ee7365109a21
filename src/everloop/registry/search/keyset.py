"""Pages by keyset: a cursor holds what the last row was ordered by, so that what is written meanwhile moves nothing."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, RowMapping, Select, and_, or_

from everloop.catalog.session import Session
from everloop.kernel.errors import InvalidInput

Key = str | int


class Term(msgspec.Struct, frozen=True):
    """One thing that rows are ordered by: any SQL expression that gives a text, or else a whole number."""

    column: ColumnElement[Any]
    descending: bool = False
    text: bool = False


def page(
    session: Session, query: Select[Any], terms: Sequence[Term], limit: int, cursor: str
) -> tuple[list[RowMapping], str]:
    """The rows after a cursor, and the cursor after them, empty when there are no more. The terms tell all rows apart.

    Raises:
        InvalidInput: the cursor is none of such an order.
    """
    if cursor:
        query = query.where(_after(terms, _keys(cursor, terms)))
    query = query.add_columns(*(term.column.label(f"order_{place}") for place, term in enumerate(terms)))
    orders = (term.column.desc() if term.descending else term.column.asc() for term in terms)
    found = [row._mapping for row in session.connection.execute(query.order_by(*orders).limit(limit + 1))]
    if len(found) <= limit:
        return found, ""
    last = [found[limit - 1][f"order_{place}"] for place in range(len(terms))]
    return found[:limit], base64.b64encode(msgspec.json.encode(last)).decode()


def _after(terms: Sequence[Term], keys: Sequence[Key]) -> ColumnElement[bool]:
    pairs = list(zip(terms, keys, strict=True))
    return or_(
        *(
            and_(
                *(it.column == at for it, at in pairs[:place]),
                term.column < key if term.descending else term.column > key,
            )
            for place, (term, key) in enumerate(pairs)
        )
    )


def _keys(cursor: str, terms: Sequence[Term]) -> list[Key]:
    try:
        keys = msgspec.json.decode(base64.b64decode(cursor, validate=True), type=list[Key])
    except (binascii.Error, ValueError, msgspec.MsgspecError):
        raise InvalidInput(
            "Invalid page token, could not base64-decode it.", hint="Send that of the page before."
        ) from None
    texts = [term.text for term in terms]
    wild = any("\0" in key if isinstance(key, str) else abs(key) >= 1 << 62 for key in keys)
    if wild or [isinstance(key, str) for key in keys] != texts:
        raise InvalidInput("Invalid page token: it is one of another order.", hint="Send that of the page before.")
    return keys
