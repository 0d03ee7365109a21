"""Outcomes as they come in: answers that were served, each with its label once that is known."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count
from typing import TYPE_CHECKING, Generic, TypeVar

import numpy as np

from everloop.loop.metrics import Outcomes

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

V = TypeVar("V", bound=np.generic)
KEPT = 2_000_000
"""So many answers are remembered at most; then the older half is forgotten."""


class OutcomeLog:
    """The stable version's answers, joined to labels by key: of each key the first answer and the first label count.

    Costs about 0.3 µs an answer. It is rebuilt by feeding it the logs again, whatever batches they come in.
    """

    def __init__(self) -> None:
        self._at = _Column(np.int64)
        self._score = _Column(np.float64)
        self._truth = _Column(np.float64)
        self._row: dict[str, int] = {}
        self._early: dict[str, float] = {}

    def predictions(self, batches: Iterable[pa.RecordBatch]) -> None:
        """Take in predictions from the inference log; those of challengers and shadows are left out."""
        import pyarrow.compute as pc

        for batch in batches:
            ours = pc.and_(pc.equal(batch.column("role"), "stable"), pc.is_finite(batch.column("output")))
            mine = batch.filter(ours) if not pc.all(ours).as_py() else batch
            keys = [key or id for key, id in zip(*(mine[c].to_pylist() for c in ("key", "prediction_id")), strict=True)]
            for key, row in zip(keys, count(len(self._at)), strict=False):
                self._row.setdefault(key, row)
            self._at.extend(mine.column("at").to_numpy())
            self._score.extend(mine.column("output").to_numpy())
            self._truth.extend(np.array([self._early.pop(key, np.nan) for key in keys], dtype=np.float64))
        if len(self._at) > KEPT:
            self._forget(len(self._at) // 2)

    def labels(self, batches: Iterable[pa.RecordBatch]) -> None:
        """Take in labels; one whose prediction is not there yet waits for it."""
        found: dict[int, float] = {}
        for batch in batches:
            for key, value in zip(batch.column("key").to_pylist(), batch.column("value").to_pylist(), strict=True):
                row = self._row.get(key)
                if row is None:
                    self._early.setdefault(key, value)
                else:
                    found.setdefault(row, value)
        rows = np.fromiter(found, np.int64, len(found))
        values = np.fromiter(found.values(), np.float64, len(found))
        first = np.isnan(self._truth.values[rows])
        self._truth.values[rows[first]] = values[first]

    def between(self, start: int, end: int) -> Outcomes:
        """The labelled answers of [start, end), in µs."""
        at, truth = self._at.values, self._truth.values
        # No bisection: several processes may log, each in its own order.
        wanted = (at >= start) & (at < end) & ~np.isnan(truth)
        return Outcomes(at[wanted], self._score.values[wanted], truth[wanted])

    def _forget(self, rows: int) -> None:
        for column in (self._at, self._score, self._truth):
            column.drop(rows)
        self._row = {key: row - rows for key, row in self._row.items() if row >= rows}
        self._early.clear()


class _Column(Generic[V]):
    """An array that grows at its end."""

    def __init__(self, kind: type[V]) -> None:
        self._room: NDArray[V] = np.empty(1024, kind)
        self._size = 0

    def __len__(self) -> int:
        return self._size

    @property
    def values(self) -> NDArray[V]:
        """What is in it, without a copy."""
        return self._room[: self._size]

    def extend(self, values: NDArray[V]) -> None:
        """Add values at the end."""
        size = self._size + len(values)
        if size > len(self._room):
            grown = np.empty(max(size, 2 * len(self._room)), self._room.dtype)
            grown[: self._size] = self.values
            self._room = grown
        self._room[self._size : size] = values
        self._size = size

    def drop(self, count: int) -> None:
        """Take values away from the front."""
        self._room = self._room[count : self._size].copy()
        self._size = len(self._room)
