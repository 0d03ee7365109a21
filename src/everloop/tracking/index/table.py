"""The runs of a project as columns: a row a run, in the order in which they became known."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter, methodcaller
from typing import Any

import msgspec
import numpy as np

from everloop.tracking.index.columns import BLOCK, Blocked, Identities, Numbers, Rows, Texts, Times

TEXTS = ("experiment", "name", "status", "parent", "user", "group", "code", "inputs")
TIMES = ("started", "ended", "deleted")
Column = Texts | Numbers | Times
_VALUES, _VALUE = methodcaller("values"), attrgetter("value")


class Measured(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The beginning of a latest point: of all that the catalog keeps of it, the index needs its value."""

    value: float


class Batch(msgspec.Struct, frozen=True):
    """What is known of some runs, as columns: ids, attributes, parameters, tags, latest points of metrics.

    `code` and `inputs` are JSON as the catalog keeps it, which is only read where a search asks for it.
    """

    ids: Sequence[str]
    texts: Mapping[str, Sequence[str]]
    times: Mapping[str, Sequence[int | None]]
    parameters: Sequence[Mapping[str, str]]
    tags: Sequence[Mapping[str, str]]
    metrics: Sequence[Mapping[str, Measured]]


class RunTable:
    """Columns of runs. It does not lock: whoever reads or writes it takes turns."""

    def __init__(self) -> None:
        self.identities = Identities()
        self.alive: Blocked[np.bool_] = Blocked(np.bool_, False)
        self.texts: dict[str, Texts] = {name: Texts() for name in TEXTS}
        self.times: dict[str, Times] = {name: Times() for name in TIMES}
        self.parameters: dict[str, Texts] = {}
        self.tags: dict[str, Texts] = {}
        self.metrics: dict[str, Numbers] = {}

    @property
    def blocks(self) -> int:
        """How many blocks of rows there are."""
        return -(-self.identities.count // BLOCK)

    def put(self, batch: Batch) -> None:
        """Write what has become of some runs, new ones and known ones; each is in the batch once."""
        ids = [id.encode() for id in batch.ids]
        found = self.identities.rows_of(ids)
        known = [place for place, row in enumerate(found) if row >= 0]
        fresh = [place for place, row in enumerate(found) if row < 0]
        if known:
            places = sorted(known, key=found.__getitem__)
            rows = np.array([found[place] for place in places], np.int64)
            self._forget(rows)
            self._write(rows, batch if len(known) == len(ids) and places == known else _some(batch, places))
        if fresh:
            made = self.identities.add([ids[place] for place in fresh])
            self._write(np.arange(made.start, made.stop), batch if len(fresh) == len(ids) else _some(batch, fresh))

    def remove(self, ids: Sequence[str]) -> None:
        """Runs that are no more."""
        rows = sorted(row for row in self.identities.rows_of([id.encode() for id in ids]) if row >= 0)
        self.alive.fill(np.array(rows, np.int64))

    def ids(self, rows: Rows) -> list[str]:
        """The ids of rows, which ascend."""
        return [id.decode() for id in self.identities.column.take(rows).tolist()]

    def _write(self, rows: Rows, batch: Batch) -> None:
        self.alive.set(rows, np.ones(len(rows), np.bool_))
        for name, column in self.texts.items():
            column.put(rows, batch.texts[name])
        for name, times in self.times.items():
            times.put(rows, batch.times[name])
        _scatter(self.parameters, Texts, rows, batch.parameters)
        _scatter(self.tags, Texts, rows, batch.tags)
        _scatter(self.metrics, Numbers, rows, batch.metrics, _VALUE)

    def _forget(self, rows: Rows) -> None:
        """Clear what rows held by key: they may hold it no more."""
        for columns in (self.parameters, self.tags, self.metrics):
            for column in columns.values():
                column.fill(rows)


def _scatter(
    columns: dict[str, Any],
    make: Callable[[], Any],
    rows: Rows,
    documents: Sequence[Mapping[str, Any]],
    read: Callable[[Any], float] | None = None,
) -> None:
    """Put the values of documents into the columns of their keys; documents with the same keys all at once."""
    shapes: dict[tuple[str, ...], list[int]] = {}
    for place, document in enumerate(documents):
        shapes.setdefault(tuple(document), []).append(place)
    for keys, places in shapes.items():
        chosen = documents if len(places) == len(documents) else [documents[place] for place in places]
        into = rows if len(places) == len(rows) else rows[places]
        for key, values in zip(keys, zip(*map(_VALUES, chosen), strict=True), strict=True):
            if key not in columns:
                columns[key] = make()
            columns[key].put(into, values if read is None else list(map(read, values)))


def _some(batch: Batch, places: Sequence[int]) -> Batch:
    def of(values: Sequence[Any]) -> list[Any]:
        return [values[place] for place in places]

    return Batch(
        of(batch.ids),
        {name: of(values) for name, values in batch.texts.items()},
        {name: of(values) for name, values in batch.times.items()},
        of(batch.parameters),
        of(batch.tags),
        of(batch.metrics),
    )
