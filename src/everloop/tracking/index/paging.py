"""A page of rows in order: only those that are on it are sorted; the next one begins after the last row's values."""

from __future__ import annotations

import base64
import binascii
from typing import cast

import msgspec
import numpy as np
from blake3 import blake3

from everloop.kernel.errors import InvalidInput
from everloop.tracking.index.columns import ABSENT_KEY, Rows
from everloop.tracking.index.expressions import Ordering, Search, type_of
from everloop.tracking.index.fields import Field, Words, field_of
from everloop.tracking.index.table import RunTable

_NEWEST = Ordering("attribute", "started", True)


class Position(msgspec.Struct, frozen=True, array_like=True):
    """Where a page ended: a digest of the search, what the last row has for each order, and its id.

    Numbers and times are there as the keys that sort them, texts as they are: their keys change with what there is.
    """

    search: bytes
    values: list[int | str | None]
    id: str


class Order:
    """The orders of a search over a table."""

    def __init__(self, table: RunTable, search: Search) -> None:
        given = search.orders
        newest = () if any((order.kind, order.key) == ("attribute", "started") for order in given) else (_NEWEST,)
        self._table = table
        self._orders = (*given, *newest)
        self._fields: list[Field] = [field_of(table, order.kind, order.key) for order in self._orders]

    @property
    def length(self) -> int:
        """How many values decide before the id does."""
        return len(self._orders)

    def first(self, rows: Rows, count: int) -> Rows:
        """The rows that come first, so many, in order. Costs a partition of all, and a sort of those."""
        chosen = self._select(rows, 0, count)
        keys = [self._keys(number, chosen) for number in reversed(range(self.length))]
        ids = self._table.identities.column.take(chosen)
        by_id = np.argsort(ids, kind="stable")
        return chosen[by_id][np.lexsort([key[by_id] for key in keys])]

    def after(self, rows: Rows, position: Position) -> Rows:
        """Those rows that come after a position."""
        later: list[Rows] = []
        for number, value in enumerate(position.values):
            keys, last = self._keys(number, rows), self._key_of(number, value)
            later.append(rows[keys > last])
            rows = rows[keys == last]
        ids = self._table.identities.column.take(rows)
        later.append(rows[ids > np.bytes_(position.id.encode())])
        return np.sort(np.concatenate(later))

    def position(self, row: int, search: Search) -> Position:
        """Where a page ends whose last row this is."""
        one = np.array([row], np.int64)
        values = [self._place(number, one) for number in range(self.length)]
        return Position(_digest(search), values, self._table.ids(one)[0])

    def _select(self, rows: Rows, number: int, count: int) -> Rows:
        """The rows that come first, ascending: all below the key that the last of them has, and of its equals some."""
        if count == 0 or len(rows) <= count:
            return rows[:count]
        if number == self.length:
            ids = self._table.identities.column.take(rows)
            return np.sort(rows[np.argsort(ids, kind="stable")[:count]])
        keys = self._keys(number, rows)
        edge = np.partition(keys, count - 1)[count - 1]
        below = rows[keys < edge]
        equal = self._select(rows[keys == edge], number + 1, count - len(below))
        return np.sort(np.concatenate([below, equal]))

    def _keys(self, number: int, rows: Rows) -> Rows:
        return self._fields[number].keys(rows, descending=self._orders[number].descending)

    def _place(self, number: int, row: Rows) -> int | str | None:
        order = self._orders[number]
        if type_of(order.kind, order.key) != "text":
            return int(self._keys(number, row)[0])
        return cast(str | None, self._fields[number].values(row)[0])

    def _key_of(self, number: int, value: int | str | None) -> int:
        if isinstance(value, str):
            return cast(Words, self._fields[number]).key_of(value, descending=self._orders[number].descending)
        return int(ABSENT_KEY) if value is None else value


def cursor_of(position: Position) -> str:
    """A position as a text that travels."""
    return base64.urlsafe_b64encode(msgspec.msgpack.encode(position)).decode().rstrip("=")


def position_of(cursor: str, search: Search, length: int) -> Position:
    """The position that a cursor of a search tells.

    Raises:
        InvalidInput: it is none, or belongs to another search.
    """
    try:
        data = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        found = msgspec.msgpack.decode(data, type=Position)
    except (binascii.Error, ValueError, msgspec.DecodeError):
        raise InvalidInput(
            f"{cursor[:40]!r} is no cursor.", hint="Pass the cursor that the page before came with."
        ) from None
    if found.search != _digest(search) or len(found.values) != length:
        raise InvalidInput(
            "The cursor belongs to another search.",
            hint="Ask for the next page with the same experiment, filter and order; only the limit may differ.",
        )
    return found


def _digest(search: Search) -> bytes:
    asked = msgspec.structs.replace(search, after="", limit=0)
    return blake3(msgspec.msgpack.encode(asked)).digest(8)
