"""The fields of runs that can be sorted by and shown: each gives keys that sort as its values do, and the values."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from everloop.kernel.clock import from_micros
from everloop.tracking.index.columns import (
    ABSENT_BITS,
    ABSENT_KEY,
    NO_NUMBER,
    NO_TIME,
    Numbers,
    Rows,
    Texts,
    Times,
    number_keys,
)
from everloop.tracking.index.expressions import Kind, Value, type_of
from everloop.tracking.index.facts import code_in, urns_in
from everloop.tracking.index.table import RunTable

OPTIONAL = ("parent", "user", "group")
"""Attributes that are kept as an empty text where there is none."""


class Field(Protocol):
    """A value of each run."""

    def keys(self, rows: Rows, *, descending: bool) -> Rows:
        """Numbers that sort as the values in rows (ascending) do, with NaN and no value last."""
        ...

    def values(self, rows: Rows) -> Sequence[Value]:
        """The values in rows, which ascend."""
        ...


class Words(Field, Protocol):
    """A text of each run, whose keys change with what texts there are."""

    def key_of(self, word: str, *, descending: bool) -> int:
        """What `keys` gives for a text, or would give if a run had it."""
        ...


def field_of(table: RunTable, kind: Kind, key: str) -> Field:
    """A field of the runs of a table.

    Raises:
        InvalidInput: there is no such attribute.
    """
    type_of(kind, key)
    if kind == "metric":
        return _NumberField(table.metrics.get(key, Numbers()))
    if kind == "parameter":
        return _TextField(table.parameters.get(key, Texts()))
    if kind == "tag":
        return _TextField(table.tags.get(key, Texts()))
    if kind == "dataset":
        return _Derived(table.texts["inputs"], lambda text: ", ".join(urns_in(text)))
    if key == "id":
        return _Ids(table)
    if key == "duration":
        return _Durations(table)
    if key in table.times:
        return _TimeField(table.times[key])
    if key in ("revision", "branch"):
        return _Derived(table.texts["code"], lambda text: str(getattr(code_in(text), key)))
    return _Derived(table.texts[key], str) if key in OPTIONAL else _TextField(table.texts[key])


class _NumberField:
    def __init__(self, column: Numbers) -> None:
        self._column = column

    def keys(self, rows: Rows, *, descending: bool) -> Rows:
        return self._column.keys(rows, descending=descending)

    def values(self, rows: Rows) -> Sequence[Value]:
        found = self._column.take(rows)
        absent = (found.view(np.int64) == ABSENT_BITS).tolist()
        return [None if no else value for no, value in zip(absent, found.tolist(), strict=True)]


class _TimeField:
    def __init__(self, column: Times) -> None:
        self._column = column

    def keys(self, rows: Rows, *, descending: bool) -> Rows:
        return self._column.keys(rows, descending=descending)

    def values(self, rows: Rows) -> Sequence[Value]:
        return [None if time == NO_TIME else from_micros(time) for time in self._column.take(rows).tolist()]


class _Durations:
    def __init__(self, table: RunTable) -> None:
        self._started, self._ended = table.times["started"], table.times["ended"]

    def keys(self, rows: Rows, *, descending: bool) -> Rows:
        started, ended = self._started.take(rows), self._ended.take(rows)
        return number_keys(np.where(ended == NO_TIME, NO_NUMBER, (ended - started) / 1e6), descending=descending)

    def values(self, rows: Rows) -> Sequence[Value]:
        pairs = zip(self._started.take(rows).tolist(), self._ended.take(rows).tolist(), strict=True)
        return [None if ended == NO_TIME else (ended - started) / 1e6 for started, ended in pairs]


class _TextField:
    def __init__(self, column: Texts) -> None:
        self._column = column
        self.key_of = column.key_of

    def keys(self, rows: Rows, *, descending: bool) -> Rows:
        return self._column.keys(rows, descending=descending)

    def values(self, rows: Rows) -> Sequence[Value]:
        return self._column.texts(rows)


class _Derived:
    """A text that is read out of another one, or none where it is empty."""

    def __init__(self, column: Texts, read: Callable[[str], str]) -> None:
        self._column = column
        self._texts = ["", *map(read, column.words.since(1))]
        self._known = sorted(set(self._texts) - {""})

    def keys(self, rows: Rows, *, descending: bool) -> Rows:
        key = {word: self.key_of(word, descending=descending) for word in self._known}
        keys = np.array([key.get(text, ABSENT_KEY) for text in self._texts], np.int64)
        return keys[self._column.take(rows)]

    def key_of(self, word: str, *, descending: bool) -> int:
        key = _between(self._known, word)
        return -key if descending else key

    def values(self, rows: Rows) -> Sequence[Value]:
        return [self._texts[code] or None for code in self._column.take(rows).tolist()]


class _Ids:
    def __init__(self, table: RunTable) -> None:
        self._column = table.identities.column

    @cached_property
    def _sorted(self) -> NDArray[np.bytes_]:
        every = [block for block in self._column.blocks if block is not None]
        return np.sort(np.concatenate(every)) if every else np.array([], "S32")

    def keys(self, rows: Rows, *, descending: bool) -> Rows:
        keys = 2 * np.searchsorted(self._sorted, self._column.take(rows)).astype(np.int64) + 2
        return -keys if descending else keys

    def key_of(self, word: str, *, descending: bool) -> int:
        key = _between(self._sorted, np.bytes_(word.encode()))
        return -key if descending else key

    def values(self, rows: Rows) -> Sequence[Value]:
        return [id.decode() for id in self._column.take(rows).tolist()]


def durations(table: RunTable, number: int) -> np.ndarray[tuple[int], np.dtype[np.float64]] | None:
    """How many seconds the runs of a block took; none where one has not ended."""
    started, ended = table.times["started"].block(number), table.times["ended"].block(number)
    if started is None or ended is None:
        return None
    return np.where(ended == NO_TIME, NO_NUMBER, (ended - started) / 1e6)


def _between(known: Sequence[object] | np.ndarray, word: object) -> int:
    """An even number for each that is known, and an odd one between for what is not."""
    place = bisect_left(known, word)
    return 2 * place + (2 if place < len(known) and known[place] == word else 1)
